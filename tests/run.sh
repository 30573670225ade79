#!/usr/bin/env bash
# Builds and runs the tests: unit tests under ASan and UBSan, end-to-end and kill
# tests with the release binary. The last line is `N passed, N failed, N skipped`.
#   --tsan      the unit tests under ThreadSanitizer too
#   --fuzz      the fuzz targets too, each for FUZZ_SECONDS (30); installs Clang
#   --world     tests with outside programs too (browsers, proxies), which it installs
#   --soak      long runs too: more kills, five minutes at 10,000 clicks/s
#   --filter X  only tests whose name contains X
set -uo pipefail
cd "$(dirname "$0")/.."

tsan=no fuzz=no world=no soak=() filter=""
while [ $# -gt 0 ]; do
  case $1 in
    --tsan) tsan=yes ;;
    --fuzz) fuzz=yes ;;
    --world) world=yes ;;
    --soak) soak=(--soak) ;;
    --filter) filter=${2:?--filter wants a word}; shift ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  shift
done

passed=0 failed=0 skipped=0
logs=build/test-logs
section() { printf '\n== %s\n' "$*"; }
finish() {
  printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" = 0 ] && [ "$passed" != 0 ]
  exit
}
# fail WHAT: counts as a failed test.
fail() { echo "FAIL $*"; failed=$((failed + 1)); }
# build PRESET OPTION... TARGET...: a build that fails ends the run.
build() {
  section "build $1"
  local begin=$SECONDS
  ./conf/build.sh "$@" 2>&1 | tee "$logs/build-$1.log" || { fail "build $1"; finish; }
  echo "built $1 in $((SECONDS - begin)) s"
}

# unit NAME COMMAND...: runs the Catch2 binary, in two halves side by side when all
# of it is wanted, and adds up its test cases.
unit() {
  section "unit tests, $1"
  local log="$logs/unit-$1" begin=$SECONDS half codes=()
  shift
  if [ -n "$filter" ]; then
    "$@" --use-colour no "*$filter*" >"$log.log" 2>&1
    count_unit $? "$log.log"
  else
    # Those that write golden files are hidden, and stay so.
    local halves=("[stream]~[.],[log]~[.]" "~[stream]~[log]~[.]")
    for half in 0 1; do
      "$@" --use-colour no "${halves[half]}" >"$log-$half.log" 2>&1 &
      codes[half]=$!
    done
    for half in 0 1; do
      wait "${codes[half]}"
      count_unit $? "$log-$half.log"
    done
  fi
  echo "in $((SECONDS - begin)) s"
}

# count_unit CODE LOG: adds up what a run of the Catch2 binary said. A test that
# cannot do its work here prints a line `SKIPPED reason` and counts as skipped.
count_unit() {
  local code=$1 log=$2 summary good bad left_out
  # Passing test cases print nothing but what is meant to be read, such as a table of errors.
  tail -400 "$log"
  # "All tests passed (9 assertions in 3 test cases)", "test cases: 3 | 2 passed | 1 failed", "No test cases matched…"
  summary=$(sed -n \
    -e 's/^All tests passed (.* in \([0-9]*\) test cases\{0,1\}).*/\1 0/p' \
    -e '/^test cases:/{h;s/.*| *\([0-9]*\) passed.*/\1/;t p;s/.*/0/;:p;G;s/\n.*| *\([0-9]*\) failed.*/ \1/;s/\n.*/ 0/;p;}' \
    -e 's/^No test.*/0 0/p' "$log" | tail -1)
  # Without a summary the process died in the middle.
  [ -n "$summary" ] || summary="0 1"
  good=${summary% *} bad=${summary#* }
  left_out=$(grep -c '^SKIPPED' "$log")
  if [ "$code" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
  echo "$((good - left_out)) passed, $bad failed, $left_out skipped"
  passed=$((passed + good - left_out)) failed=$((failed + bad)) skipped=$((skipped + left_out))
}

# black_box NAME COMMAND...: a suite whose own last line is `N passed, N failed, N skipped`.
black_box() {
  local log="$logs/$1.log" line
  shift
  "$@" ${filter:+--filter "$filter"} 2>&1 | tee "$log"
  line=$(tail -1 "$log" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p')
  if [ -z "$line" ]; then
    fail "a suite ended without a count: $*"
    return
  fi
  read -r good bad left_out <<<"$line"
  passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + left_out))
}

sections=()
if [ $fuzz = yes ]; then sections=(fuzz); fi
./conf/install.sh "${sections[@]}" || exit 1
mkdir -p "$logs"

build release clickmill clickmill-bench
# One configuration for the quick start and the tests, so no -Werror here: look at the output instead.
if grep -q 'warning:' "$logs/build-release.log"; then fail "the release build warns"; fi
build asan -DCLICKMILL_WERROR=ON clickmill-tests

export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:check_initialization_order=1
export UBSAN_OPTIONS=print_stacktrace=1
unit asan build/asan/clickmill-tests

if [ $tsan = yes ]; then
  build tsan -DCLICKMILL_WERROR=ON clickmill-tests
  # TSan's shadow memory does not fit every randomised layout of newer kernels.
  fixed_layout=()
  if setarch "$(uname -m)" -R true 2>/dev/null; then fixed_layout=(setarch "$(uname -m)" -R); fi
  export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/tests/tsan.supp
  unit tsan "${fixed_layout[@]}" build/tsan/clickmill-tests
fi

section "end to end and kill -9"
black_box e2e python3 tests/e2e/run.py --binary build/release/clickmill \
  --bench build/release/clickmill-bench "${soak[@]}"

section "with outside programs"
if [ -e tests/world/run.py ]; then
  without=(--without "needs ./tests/run.sh --world")
  if [ $world = yes ]; then without=(); fi
  black_box world python3 tests/world/run.py --binary build/release/clickmill \
    --bench build/release/clickmill-bench "${without[@]}"
fi

# fuzz_one TARGET: a bounded run; the corpus stays in the build folder, so that the next one goes on.
fuzz_one() {
  local name log
  name=$(basename "$1")
  log="$logs/$name.log"
  mkdir -p "build/fuzz/corpus/$name"
  # What is kept, which the unit tests read too.
  local kept=()
  if [ -d "tests/fuzz/corpus/${name%_fuzz}" ]; then kept=("tests/fuzz/corpus/${name%_fuzz}"); fi
  if "$1" -max_total_time="${FUZZ_SECONDS:-30}" -max_len=65536 -timeout=10 -rss_limit_mb=2048 \
      -artifact_prefix="$logs/$name-" "build/fuzz/corpus/$name" "${kept[@]}" >"$log" 2>&1; then
    echo "PASS fuzz $name: $(sed -n 's/^Done \([0-9]*\) runs.*/\1 runs/p' "$log")"
    passed=$((passed + 1))
  else
    tail -40 "$log"
    fail "fuzz $name: the input is beside $log"
  fi
}

if [ $fuzz = yes ]; then
  build fuzz fuzz
  section "fuzz"
  for source in tests/fuzz/*_fuzz.cpp; do
    name=$(basename "$source" .cpp)
    case $name in *"$filter"*) fuzz_one "build/fuzz/$name" ;; esac
  done
fi
finish
