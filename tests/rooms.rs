//! The rooms of the source: their dependencies match `docs/architecture.md`, and there are no cycles.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows them in test functions, not in what those call"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module by the names on its path: `["guard", "record"]`. The crate root has an empty path.
type Module = Vec<String>;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The code of each module in `src`, without comments and tests.
fn modules() -> BTreeMap<Module, String> {
    let source = root().join("src");
    let mut modules = BTreeMap::new();
    collect(&source, &source, &mut modules);
    modules
}

fn collect(source: &Path, folder: &Path, modules: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(source, &path, modules);
            continue;
        }
        let name = path.strip_prefix(source).unwrap().with_extension("");
        let mut module: Module = name
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        let last = module.last().map(String::as_str);
        if last == Some("mod") || last == Some("lib") {
            module.pop();
        }
        let for_tests = |part: &String| part == "tests" || part == "fixtures";
        if !module.iter().any(for_tests) {
            modules.insert(module, code(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// A text without comments and without code that is compiled for tests only.
fn code(text: &str) -> String {
    let lines = text.lines();
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    let code: Vec<&str> = lines.collect();
    let code = code.join("\n");
    let mut parts = code.split("#[cfg(test)]\n");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // A test module is the last item of its file; other items for tests are one line.
        let first = part.lines().next().unwrap_or_default();
        if first.ends_with(';') {
            kept += part.split_once('\n').map_or("", |(_, rest)| rest);
        }
    }
    kept
}

/// The full paths in a `use` declaration.
fn named(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, inside)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.trim().to_owned()];
    };
    let inside = inside.strip_suffix('}').unwrap_or(inside);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for letter in inside.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if letter == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts
        .flat_map(|part| named(part))
        .map(|path| format!("{before}{path}"))
        .collect()
}

/// All paths in some code, of `use` declarations and of expressions; and those that `pub use` re-exports.
fn paths(code: &str) -> (Vec<String>, Vec<String>) {
    let (mut used, mut handed_on) = (Vec::new(), Vec::new());
    let mut rest = String::new();
    let mut statements = code.split("use ");
    rest += statements.next().unwrap_or_default();
    for statement in statements {
        let (tree, after) = statement.split_once(';').unwrap_or((statement, ""));
        let line = rest.rsplit('\n').next().unwrap_or_default().trim();
        let line = line.to_owned();
        match &*line {
            "" => used.extend(named(tree)),
            line if line.starts_with("pub") => handed_on.extend(named(tree)),
            _ => rest += statement,
        }
        rest += after;
    }
    let words =
        rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':');
    used.extend(words.filter(|word| word.contains("::")).map(str::to_owned));
    (used, handed_on)
}

/// The modules that each module uses.
fn uses() -> BTreeMap<Module, BTreeSet<Module>> {
    let modules = modules();
    let known: BTreeSet<&Module> = modules.keys().collect();
    let read: BTreeMap<&Module, _> = modules
        .iter()
        .map(|(module, code)| (module, paths(code)))
        .collect();
    let handed_on = |module: &Module, name: &str| {
        let (_, paths) = read.get(module)?;
        paths
            .iter()
            .find(|path| path.rsplit("::").next() == Some(name))
    };
    let resolve = |from: &Module, path: &str| -> Option<Module> {
        let (mut from, mut path) = (from.clone(), path.to_owned());
        for _ in 0..8 {
            let (mut module, mut parts): (Module, Vec<&str>) =
                (from.clone(), path.split("::").collect());
            match parts.first() {
                Some(&"crate") => (module, parts) = (Module::new(), parts[1..].to_vec()),
                Some(&"self") => parts = parts[1..].to_vec(),
                Some(&"super") => {
                    while parts.first() == Some(&"super") {
                        module.pop();
                        parts.remove(0);
                    }
                }
                _ => {}
            }
            let mut found =
                !path.contains("crate") && !path.contains("super") && !path.starts_with("self");
            while let Some(part) = parts.first() {
                let mut below = module.clone();
                below.push((*part).to_owned());
                if !known.contains(&below) {
                    break;
                }
                (module, found) = (below, false);
                parts.remove(0);
            }
            // A bare name that isn't a module of this module.
            if found {
                return None;
            }
            match parts.first().and_then(|name| handed_on(&module, name)) {
                Some(path_on) if *path_on != path || module != from => {
                    (from, path) = (module, path_on.clone());
                }
                _ => return known.contains(&module).then_some(module),
            }
        }
        None
    };
    let uses = modules.keys().map(|module| {
        let (used, _) = &read[module];
        let used = used.iter().filter_map(|path| resolve(module, path));
        (module.clone(), used.filter(|used| used != module).collect())
    });
    uses.collect()
}

fn called(module: &Module) -> String {
    module.join("/")
}

/// The rooms that each room uses. A room is a module of the crate with all modules below it.
fn rooms() -> BTreeMap<String, BTreeSet<String>> {
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, used) in uses() {
        let Some(room) = module.first().filter(|room| *room != "main") else {
            continue;
        };
        let used = used.iter().filter_map(|module| module.first());
        let others = used.filter(|other| *other != room).cloned();
        rooms.entry(room.clone()).or_default().extend(others);
    }
    rooms
}

/// The table in `docs/architecture.md`.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let from = text
        .split("| room | what it holds | uses |")
        .nth(1)
        .unwrap();
    let rows = from
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let names = |cell: &str| -> BTreeSet<String> {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.map(str::to_owned).collect()
    };
    let rows = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        let room = names(cells[1]).pop_first().unwrap();
        (room, names(cells[3]))
    });
    rows.collect()
}

#[test]
fn the_table_of_rooms_matches_the_source() {
    let (rooms, table) = (rooms(), table());
    for (room, used) in &rooms {
        let told = table.get(room);
        assert_eq!(told, Some(used), "{room}: told, and as it is");
    }
    assert_eq!(rooms.len(), table.len());
}

/// Everything that a module uses, directly or indirectly.
fn reached<T: Ord + Clone>(uses: &BTreeMap<T, BTreeSet<T>>, from: &T) -> BTreeSet<T> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from.clone()]);
    while let Some(one) = next.pop() {
        for used in uses.get(&one).into_iter().flatten() {
            if reached.insert(used.clone()) {
                next.push(used.clone());
            }
        }
    }
    reached
}

#[test]
fn rooms_have_no_cyclic_dependencies() {
    let rooms = rooms();
    let circles = rooms
        .keys()
        .filter(|room| reached(&rooms, room).contains(*room));
    assert_eq!(circles.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// A file counts as one with the files in the folder of its name.
#[test]
fn files_have_no_cyclic_dependencies() {
    let uses = uses();
    let mut circles = BTreeSet::new();
    for (module, used) in &uses {
        for other in used {
            let parent = other.starts_with(module) || module.starts_with(other);
            if uses[other].contains(module) && module < other && !parent {
                circles.insert(format!("{} and {}", called(module), called(other)));
            }
        }
    }
    assert_eq!(circles, BTreeSet::new());
}

#[test]
fn names_of_public_types_are_unique() {
    let mut defined: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (module, code) in modules() {
        for line in code.lines().filter(|line| line.starts_with("pub")) {
            let words: Vec<&str> = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .collect();
            let kinds = ["struct", "enum", "trait", "type"];
            if let Some(at) = words.iter().position(|word| kinds.contains(word)) {
                let name = words[at + 1].to_owned();
                defined.entry(name).or_default().push(called(&module));
            }
        }
    }
    defined.retain(|_, modules| modules.len() > 1);
    assert_eq!(defined, BTreeMap::new());
}
