//! Flux's health of the objects.

use super::*;

#[test]
fn flux_shows_each_reason_as_its_phase_promises() {
    let states = states();
    for (state, seen) in states.iter().zip(kstatus(&objects(&states))) {
        assert_eq!(seen, flux_expects(state), "{}", state.object);
    }
    assert_eq!(kstatus(&unseen()), ["InProgress"; 4]);
}

#[test]
fn the_documented_expressions_agree_with_kstatus_and_name_a_deletion_that_waits_for_a_person() {
    let states = states();
    for (state, seen) in states
        .iter()
        .zip(flux_health(EXPRESSIONS, &objects(&states)))
    {
        let expected = match flux_expects(state) {
            "Terminating" if state.progress == Progress::Stalled => "Failed",
            "Terminating" => "InProgress",
            other => other,
        };
        assert_eq!(seen, expected, "{}", state.object);
    }
    assert_eq!(flux_health(EXPRESSIONS, &unseen()), ["InProgress"; 4]);
}
