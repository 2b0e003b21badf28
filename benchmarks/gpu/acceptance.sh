#!/usr/bin/env bash
# Accepts the package on a machine with CUDA devices, without a network: builds it, runs the tests
# marked `cuda`, runs every kernel under compute-sanitizer, and measures the fills.
#
# A step that fails does not keep the next one from running; summary.md says what failed, and the
# exit status is 1 if anything did. `--help` lists the options.
set -uo pipefail

usage() {
    cat <<'END'
usage: benchmarks/gpu/acceptance.sh OUT [options]

Writes summary.md, a log of each step, and results.json, results.md and chart.svg to the folder OUT.

  --steps LIST   some of build,tests,sanitizer,bench (default: all), always in this order
  --limit N      seconds that each step may take (default: 600)
  --dry-run      without a GPU: every step starts and does on the CPU what can be done there

`build` installs the checkout editable; without it the steps take what is built there.

Environment: PYTHON (default: python3); CMAKE_CUDA_ARCHITECTURES=90 and the like shorten the build.
END
}

refuse() {
    printf 'acceptance.sh: %s\n' "$1" >&2
    exit 2
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
python=${PYTHON:-python3}
[[ $python != */* || $python == /* ]] || python=$PWD/$python
out='' steps=build,tests,sanitizer,bench limit=600 dry_run=false
while (($#)); do
    case $1 in
        -h | --help) usage && exit 0 ;;
        --dry-run) dry_run=true ;;
        --steps | --limit)
            (($# > 1)) || refuse "$1 needs a value"
            declare "${1#--}=$2"
            shift
            ;;
        -*) refuse "unknown option $1" ;;
        *)
            [[ -z $out ]] || refuse "one folder, not also $1"
            out=$1
            ;;
    esac
    shift
done
[[ -n $out ]] || { usage >&2 && exit 2; }
[[ $limit =~ ^[1-9][0-9]*$ ]] || refuse "--limit is a number of seconds, got $limit"
for step in ${steps//,/ }; do
    [[ $step =~ ^(build|tests|sanitizer|bench)$ ]] || refuse "--steps: unknown step $step"
done
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

cd "$work" || exit 2
export PYTHONUNBUFFERED=1 PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} # benchmarks is found there
export PIP_DISABLE_PIP_VERSION_CHECK=1
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 # what else is installed is not to decide what passes
if $dry_run; then
    export CUDA_VISIBLE_DEVICES=''
fi
commit=$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)

# ------------------------------------------------------------------------------ running and noting

rows=() failures=()
largest_log=1000000 # bytes

# note NAME RESULT SECONDS REMARK: one line of the summary.
note() {
    local remark=${4//|//}
    rows+=("| $step | $1 | $2 | $3 | ${remark:0:200} |")
    [[ $2 != FAILED* ]] || failures+=("$step: $1")
    printf '%s: %s: %s (%s s) %s\n' "$step" "$1" "$2" "$3" "${remark:0:200}"
}

# task NAME WANTED COMMAND...: runs the command in what is left of the step's time, its output going
# to the step's log. It passes with the exit status WANTED.
task() {
    local name=$1 wanted=$2 began=$SECONDS left=$((deadline - SECONDS)) status result
    shift 2
    printf '\n== %s\n$ %s\n' "$name" "$*" >>"$log"
    if ((left <= 0)); then
        note "$name" "FAILED: not started, the $limit s of the step were over" 0 ''
        return 1
    fi
    timeout --kill-after=15 "$left" "$@" >"$work/output" 2>&1
    status=$?
    cat "$work/output" >>"$log"
    if ((status == wanted)); then
        result=passed
    elif ((status == 124 || status == 137)); then
        result="FAILED: stopped after $((SECONDS - began)) s, the step's limit is $limit s"
    else
        result="FAILED: exit status $status"
        ((wanted == 0)) || result+=" instead of $wanted"
    fi
    note "$name" "$result" $((SECONDS - began)) "$(grep -v '^\s*$' "$work/output" | tail -n 1)"
    [[ $result == passed ]]
}

shorten_log() {
    if (($(wc -c <"$log") > largest_log)); then
        {
            head -c $((largest_log / 2)) "$log"
            printf '\n\n[... shortened ...]\n\n'
            tail -c $((largest_log / 2)) "$log"
        } >"$work/short" && mv "$work/short" "$log"
    fi
}

# find_tool NAME: the path of a program of the CUDA toolkit.
find_tool() {
    local folders=$PATH home
    for home in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda; do
        [[ -z $home ]] || folders+=:$home/bin:$home/compute-sanitizer
    done
    PATH=$folders command -v "$1"
}

# ------------------------------------------------------------------------------ the steps

step_build() {
    task 'pip install' 0 "$python" -m pip install --no-build-isolation --no-deps --no-index \
        --editable "$root"
    task 'winit-cuda info' 0 "$python" -m winit_cuda info
}

step_tests() {
    $dry_run || task 'the core serves every GPU' 0 "$python" -c '
import winit_cuda
uses = [use for use in winit_cuda.backend_info().devices if use.device.startswith("cuda")]
print(*uses, sep="\n")
raise SystemExit(not uses or any(use.backend != "native" for use in uses))'
    task 'tests marked cuda' 0 "$python" -m pytest -c "$root/pyproject.toml" --rootdir "$root" \
        -p no:cacheprovider -m cuda -v --color=no "$root/tests"
}

step_sanitizer() {
    local nvcc sanitizer tool found=42
    local cases=("$python" -m benchmarks.gpu.sanitizer_cases)
    nvcc=$(find_tool nvcc) || nvcc=''
    sanitizer=$(find_tool compute-sanitizer) || sanitizer=''
    if $dry_run; then
        note compute-sanitizer "${sanitizer:-not found}" 0 'not used in a dry run'
        if [[ -n $nvcc ]]; then
            task 'compile the control' 0 "$nvcc" -o control "$root/benchmarks/gpu/sanitizer_control.cu"
        else
            note nvcc 'not found' 0 'the control is not compiled'
        fi
        task 'every kernel, on the CPU' 0 "${cases[@]}" --device cpu
        return
    fi
    if [[ -z $sanitizer ]]; then
        note compute-sanitizer 'FAILED: not found in PATH, CUDA_HOME, CUDA_PATH, /usr/local/cuda' 0 ''
        return
    fi
    task 'compile the control' 0 "${nvcc:-nvcc}" -arch=native -lineinfo -o control \
        "$root/benchmarks/gpu/sanitizer_control.cu"
    for tool in memcheck racecheck initcheck; do
        local watch=("$sanitizer" --tool "$tool" --error-exitcode "$found" --print-limit 20)
        # A tool that finds nothing in a program with its error has nothing to say about the kernels.
        task "$tool finds the error of the control" "$found" "${watch[@]}" ./control "$tool"
        # Each tensor is an allocation of its own, so that what lies beside it is out of bounds.
        task "$tool on every kernel" 0 env PYTORCH_NO_CUDA_MEMORY_CACHING=1 \
            "${watch[@]}" "${cases[@]}" --device cuda
    done
}

step_bench() {
    local options=(--commit "$commit")
    ! $dry_run || options+=(--dry-run)
    task 'benchmarks' 0 "$python" -m benchmarks.gpu.bench "$out" "${options[@]}"
}

# ------------------------------------------------------------------------------ all of it

for step in build tests sanitizer bench; do
    [[ ,$steps, == *,$step,* ]] || continue
    log=$out/$step.log deadline=$((SECONDS + limit))
    : >"$log" || exit 2
    "step_$step"
    shorten_log
done

verdict='nothing failed'
((${#failures[@]} == 0)) || verdict="${#failures[@]} of ${#rows[@]} FAILED"
{
    printf '# GPU acceptance of %s: %s\n\n' "$commit" "$verdict"
    printf -- '- FAILED: %s\n' "${failures[@]+"${failures[@]}"}" | grep -v ': $'
    ! $dry_run || printf 'A DRY RUN on the CPU: it says that the steps start, nothing about a GPU.\n\n'
    printf '\n%s, steps %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$steps" \
        "$(nvidia-smi -L 2>/dev/null || echo 'no GPU answers nvidia-smi')"
    printf '\n| step | task | result | seconds | last line |\n|:--|:--|:--|--:|:--|\n'
    printf '%s\n' "${rows[@]}"
} >"$out/summary.md"
printf '\n%s; %s\n' "$verdict" "$out/summary.md"
((${#failures[@]} == 0))
