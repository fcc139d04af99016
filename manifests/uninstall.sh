#!/usr/bin/env bash
# Takes the VersionPackage operator off a cluster without deleting a package on any platform, and
# without leaving objects behind whose finalizer nobody takes off. See --help.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: uninstall.sh --yes | --dry-run  [--with-crds] [--timeout SECONDS]

Takes the VersionPackage operator off the cluster. The packages stay on their platforms.
Suspend Argo CD or Flux for these objects first, or they are written back while this runs.

  1. every Platform goes into mode Observe: from then on no DELETE is sent
  2. every VersionPackage gets deletionPolicy Retain and is deleted; the running operator lets it
     go without a call. Deletions that were asked for but not yet made are given up. Each is also
     paused, which holds it should a Git tool write its deletionPolicy back
  3. when none is left, the operator, its roles and the policy for protected packages go, and its
     finalizer comes off the Platforms
  4. with --with-crds, and only when no VersionPackage is left: Platforms, CRDs and their policy go

A step that fails ends it and leaves the operator running; run it again after mending. Where no
operator runs and VersionPackages have its finalizer, it ends after step 1 and says so: nobody else
lets them go.

  --yes              do it
  --dry-run          only read, and print what would be done; changes nothing
  --with-crds        delete the Platforms and the CustomResourceDefinitions too
  --timeout SECONDS  how long to wait while no object goes (default 300)

KUBECTL is the kubectl to use, options included (default: kubectl).
EOF
}

readonly vp=versionpackages.iodm.dev platform=platforms.iodm.dev finalizer=iodm.dev/package in_use=iodm.dev/in-use
readonly operator=version-package-operator
readonly policies=validatingadmissionpolicy protected=$operator-protected-packages guarded=$operator-crds
readonly retain='{"metadata":{"annotations":{"iodm.dev/paused":"true"}},"spec":{"deletionPolicy":"Retain"}}'
yes='' dry='' with_crds='' timeout=300
while (($#)); do
  case $1 in
    --yes) yes=1 ;;
    --dry-run) dry=1 ;;
    --with-crds) with_crds=1 ;;
    --timeout) timeout=${2:?--timeout takes a number of seconds} && shift ;;
    -h | --help) usage && exit ;;
    *) usage >&2 && exit 2 ;;
  esac
  shift
done

say() { printf '%s\n' "$*"; }
complain() { printf 'uninstall: %s\n' "$*" >&2; }
die() { complain "$@" && exit 1; }

[[ $timeout =~ ^[0-9]+$ ]] || die "--timeout takes a number of seconds, not '$timeout'"
[[ $yes || $dry ]] || { usage >&2 && exit 2; }
read -r -a kubectl <<<"${KUBECTL:-kubectl}"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
errors=$(mktemp -d)
trap 'rm -rf "$errors"' EXIT

k() { "${kubectl[@]}" "$@"; }

# Whether something is surely not there; a failing look proves nothing.
absent() {
  local found
  found=$(k get "$@" --ignore-not-found -o name) && [[ -z $found ]]
}

# Namespace, name and more fields of every object of a kind, one object a line. Callers assign it on
# a line of its own, so that an error ends the script and is never taken for an empty list.
list() {
  k get "$1" --all-namespaces -o jsonpath='{range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{" "}'"$2"'{"\n"}{end}'
}

observe_platforms() {
  local rows namespace name mode
  absent crd $platform && return
  rows=$(list $platform '{.spec.mode}')
  while read -r namespace name mode; do
    [[ -z $namespace || $mode == Observe ]] && continue
    if [[ $dry ]]; then
      say "would set Platform $namespace/$name from mode ${mode:-Enforce} to Observe"
      continue
    fi
    k patch $platform "$name" -n "$namespace" --type=merge -p '{"spec":{"mode":"Observe"}}' >/dev/null ||
      absent $platform "$name" -n "$namespace" ||
      die "Platform $namespace/$name can't be set to Observe"
    say "Platform $namespace/$name: mode ${mode:-Enforce} -> Observe"
  done <<<"$rows"
}

# Whether an operator runs: the one that leads renews its Lease every 5 s. After a crash another one
# takes the Lease over within 30 s.
operator_runs() {
  local wait=$((timeout < 40 ? timeout : 40)) before now end
  end=$((SECONDS + wait))
  say "looking whether an operator runs: it renews its Lease every 5 s (waits for $wait s at most)"
  before=$(renewed)
  while ((SECONDS < end)); do
    sleep 1
    now=$(renewed)
    [[ $now == "$before" ]] || return 0
  done
  return 1
}
# When the Lease was last renewed; nothing where there is none.
renewed() {
  k get lease $operator -n $operator --ignore-not-found -o jsonpath='{.spec.renewTime}' ||
    complain "the Lease $operator/$operator can't be read"
}
readonly no_operator="no operator runs: nobody renews the Lease $operator/$operator. Only a running operator takes the finalizers
off the VersionPackages. Start it (kubectl get pods -n $operator), or install it again (kubectl apply -k manifests/install)"

# A DELETE may be on its way for an object in phase Deleting, and its answer belongs into that
# object. What the operator read of a Platform serves for one second, a call takes 15 s at most.
await_calls_under_way() {
  local until=$((SECONDS + 20)) left
  sleep 2
  while left=$(k get $vp --all-namespaces --field-selector status.phase=Deleting -o name) && [[ $left ]]; do
    ((SECONDS < until)) || break
    sleep 1
  done
}

# Deletes one object, but only as one that says Retain: the delete names the version that the patch
# returned, and the API server refuses it if anybody wrote the object in between. The annotation is
# for what is written afterwards: Retain lets a paused object go, anything else leaves it held.
let_go() {
  local namespace=$1 name=$2 error=$errors/$1.$2 answer uid version policy marked try
  for ((try = 0; try < 20; try++)); do
    if ! answer=$(k patch $vp "$name" -n "$namespace" --type=merge -p "$retain" \
      -o jsonpath='{.metadata.uid} {.metadata.resourceVersion} {.spec.deletionPolicy} {.metadata.deletionTimestamp}' 2>"$error"); then
      absent $vp "$name" -n "$namespace" && return
      break
    fi
    read -r uid version policy marked <<<"$answer"
    [[ $policy == Retain ]] || { echo "the patch did not last" >"$error" && break; }
    if [[ $marked ]]; then
      say "VersionPackage $namespace/$name: was being deleted -> Retain"
      return
    fi
    if printf '{"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"%s","resourceVersion":"%s"}}' "$uid" "$version" |
      k delete --raw "/apis/iodm.dev/v1alpha1/namespaces/$namespace/versionpackages/$name" -f - >/dev/null 2>"$error"; then
      say "VersionPackage $namespace/$name: Retain, deleted"
      return
    fi
  done
  complain "VersionPackage $namespace/$name stays, since it can't be set to Retain and deleted: $(<"$error")"
  return 1
}

# Eight at a time: a fleet has thousands.
let_all_go() {
  local namespace name policy marked failed='' pid pids=()
  while read -r namespace name policy marked; do
    [[ $policy == Retain && $marked ]] && continue
    let_go "$namespace" "$name" &
    pids+=($!)
    ((${#pids[@]} == 8)) || continue
    for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
    pids=()
  done <<<"$1"
  for pid in ${pids[@]+"${pids[@]}"}; do wait "$pid" || failed=1; done
  [[ -z $failed ]] || die "the operator stays, and every Platform in mode Observe"
}

# Looks again until none is left, so that what is created or written back meanwhile is found too. A
# large fleet takes its time (a few objects a second), so only a stand-still ends it.
release_packages() {
  local rows left fewest='' deadline told=$SECONDS
  while rows=$(list $vp '{.spec.deletionPolicy}{" "}{.metadata.deletionTimestamp}') && [[ $rows ]]; do
    left=$(wc -l <<<"$rows")
    if [[ -z $fewest ]] || ((left < fewest)); then
      fewest=$left deadline=$((SECONDS + timeout))
    elif ((SECONDS >= deadline)); then
      complain "no fewer than $((fewest)) in $timeout s (namespace, name, phase, reason):"
      list $vp '{.status.phase}{" "}{.status.conditions[?(@.type=="Ready")].reason}' >&2
      die "only the running operator takes the finalizers off. Is it ready? Does somebody write the objects back? Then run this again"
    fi
    let_all_go "$rows"
    if ((SECONDS >= told + 10)); then
      say "$left VersionPackages are left; waiting for the operator to let them go"
      told=$SECONDS
    fi
    sleep 1
    observe_platforms
  done
  # The loop ends on an error, too.
  rows=$(list $vp '')
  [[ -z $rows ]] || die "VersionPackages are still there; run this again"
}

# The policy of manifests/policies/crds lets a definition go that carries its own uid in this annotation.
approve_crds() {
  local crd uid
  for crd in $vp $platform; do
    uid=$(k get crd $crd --ignore-not-found -o jsonpath='{.metadata.uid}')
    [[ -z $uid ]] || k annotate crd $crd --overwrite "iodm.dev/deletion-approved=$uid" >/dev/null
  done
}

# Without the operator nobody takes its finalizer off a Platform; and no object is left that needs one.
free_platforms() {
  local rows namespace name finalizers i
  absent crd $platform && return
  rows=$(list $platform '{.metadata.finalizers[*]}')
  while read -r namespace name finalizers; do
    i=0
    for one in $finalizers; do
      if [[ $one == "$in_use" ]]; then
        k patch $platform "$name" -n "$namespace" --type=json \
          -p '[{"op":"test","path":"/metadata/finalizers/'$i'","value":"'$in_use'"},{"op":"remove","path":"/metadata/finalizers/'$i'"}]' >/dev/null ||
          absent $platform "$name" -n "$namespace" ||
          die "the finalizer $in_use can't be taken off Platform $namespace/$name"
      fi
      ((++i))
    done
  done <<<"$rows"
}

[[ -z $dry ]] || say "dry run: nothing is changed"
observe_platforms
if ! absent crd $vp; then
  rows=$(list $vp '{.status.phase}')
  held=$(list $vp '{.metadata.finalizers[*]}')
  if [[ $dry ]]; then
    while read -r namespace name phase; do
      [[ -z $namespace ]] || say "would set VersionPackage $namespace/$name (${phase:-new}) to deletionPolicy Retain and delete it; its package stays"
    done <<<"$rows"
    [[ $held != *"$finalizer"* ]] || operator_runs || complain "with --yes this would end here: $no_operator"
  elif [[ $rows ]]; then
    [[ $held != *"$finalizer"* ]] || operator_runs || die "$no_operator, and run this again. Every Platform is in mode Observe; nothing else was changed"
    await_calls_under_way
    release_packages
  fi
fi

if [[ $dry ]]; then
  say "would then remove the operator, and the roles that let it read Secrets"
  absent $policies $protected || say "would then remove the policy for protected packages"
  [[ -z $with_crds ]] || say "would then delete every Platform, and the CustomResourceDefinitions"
  if ! absent $policies $guarded; then
    if [[ $with_crds ]]; then
      say "would annotate the CustomResourceDefinitions for their policy, and remove the policy after them"
    else
      say "would leave the policy for the CustomResourceDefinitions"
    fi
  fi
  say "dry run: nothing was changed"
  exit
fi

say "no VersionPackage is left; removing the operator"
# In the foreground: it returns when the pods have ended.
k delete deployment $operator -n $operator --ignore-not-found --cascade=foreground
if ! absent crd $vp; then
  rows=$(list $vp '{.metadata.finalizers}')
  if [[ $rows == *"$finalizer"* ]]; then
    complain "objects came while the operator went, and it took them on:"$'\n'"$rows"
    die "nothing else was removed: apply manifests/install again, then run this again"
  fi
fi
free_platforms
k delete -k "$here/install" --ignore-not-found
k delete rolebindings,roles --all-namespaces -l app.kubernetes.io/part-of=$operator --ignore-not-found
k delete -k "$here/policies/protected-packages" --ignore-not-found

if [[ $with_crds ]]; then
  if ! absent crd $vp; then
    rows=$(list $vp '')
    [[ -z $rows ]] || die "the CustomResourceDefinitions stay, since VersionPackages are left:"$'\n'"$rows"
  fi
  absent crd $platform || k delete $platform --all --all-namespaces
  approve_crds
  k delete crd $vp $platform --ignore-not-found
  k delete -k "$here/policies/crds" --ignore-not-found
else
  say "Platforms (in mode Observe), Secrets, CustomResourceDefinitions and the policy for these stay; see --with-crds"
fi
say "done; the packages are still on their platforms"
