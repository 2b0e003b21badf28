#!/usr/bin/env bash
# Accepts the package on a machine with CUDA devices, without a network and within a time limit:
# builds it, compares every kernel with the CPU, measures the fills, tries other launch sizes, runs
# every kernel under compute-sanitizer, and runs the tests marked `cuda`. What is wanted most comes
# first.
#
# A step that fails or runs out of time does not keep the next one from running; summary.md says what
# became of each, and the exit status is 1 if anything failed. `--help` lists the options.
set -uo pipefail

usage() {
    cat <<'END'
usage: benchmarks/gpu/acceptance.sh OUT [options]

Writes to the folder OUT: summary.md, acceptance.log, and the measurements as JSON, Markdown and SVG,
named like the files of benchmarks/results.

  --steps LIST   some of build,bits,bench,tune,sanitizer,tests (default: all), always in this order
  --limit N      seconds for all steps together (default: 530). Each has a share of them, the tests
                 what is left; a step that needs less leaves the rest to those behind it.
  --dry-run      without a GPU: every step starts and does on the CPU what can be done there

`build` installs the checkout editable, for the GPU that is there; without it the steps take what is
built.

Environment: PYTHON (default: python3); CMAKE_CUDA_ARCHITECTURES or TORCH_CUDA_ARCH_LIST.
END
}

refuse() {
    printf 'acceptance.sh: %s\n' "$1" >&2
    exit 2
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
python=${PYTHON:-python3}
[[ $python != */* || $python == /* ]] || python=$PWD/$python
all_steps=(build bits bench tune sanitizer tests)
# Seconds of every hundred that a step may take at most.
declare -A shares=([build]=35 [bits]=10 [bench]=34 [tune]=18 [sanitizer]=16 [tests]=100)
out='' steps=$(IFS=, && echo "${all_steps[*]}") limit=530 dry_run=false
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
[[ $steps == *[!,]* ]] || refuse '--steps names no step'
for step in ${steps//,/ }; do
    [[ -n ${shares[$step]:-} ]] || refuse "--steps: unknown step $step"
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
end=$((SECONDS + limit)) log=$out/acceptance.log
: >"$log" || exit 2

# ------------------------------------------------------------------------------ running and noting

rows=() failures=() cuts=0
largest_log=4000000 # bytes
grace=5             # seconds between asking a program to end and killing it

# note NAME RESULT SECONDS REMARK: one line of the summary.
note() {
    local remark=${4//|//}
    rows+=("| $step | $1 | $2 | $3 | ${remark:0:200} |")
    [[ $2 != FAILED* ]] || failures+=("$step: $1")
    [[ $2 != CUT* ]] || cuts=$((cuts + 1))
    printf '%s: %s: %s (%s s) %s\n' "$step" "$1" "$2" "$3" "${remark:0:200}"
}

# run SECONDS COMMAND...: runs a command for so long at most, its output going to the log too.
# Returns its exit status, 124 or 137 where it was stopped. A program that hangs in the driver may
# not even die when it is killed: it is left behind then.
run() {
    local seconds=$1 process
    shift
    timeout --kill-after=$grace "$seconds" "$@" >"$work/output" 2>&1 &
    process=$!
    local give_up=$((SECONDS + seconds + grace + 5))
    while kill -0 "$process" 2>/dev/null; do
        ((SECONDS < give_up)) || return 137
        sleep 0.1
    done
    wait "$process"
}

# task NAME WANTED COMMAND...: runs the command in what is left of the step's time. It passes with the
# exit status WANTED. Out of time, the steps that measure or search are cut, which is no failure;
# the others have failed.
task() {
    local name=$1 wanted=$2 began=$SECONDS left=$((deadline - SECONDS)) status result
    local over=FAILED
    [[ $step != bench && $step != tune && $step != sanitizer ]] || over=CUT
    shift 2
    printf '\n== %s: %s\n$ %s\n' "$step" "$name" "$*" >>"$log"
    if ((left <= 0)); then
        note "$name" "$over: not started, the time was over" 0 ''
        return 1
    fi
    run "$left" "$@"
    status=$?
    cat "$work/output" >>"$log"
    if ((status == wanted)); then
        result=passed
    elif ((status == 124 || status == 137)); then
        result="$over: stopped after $((SECONDS - began)) s"
    elif ((status == 130)); then # it ended by itself when its time was over
        result="$over: not all of it in $((SECONDS - began)) s"
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

# How long a program that ends by itself may work, so that it has time to write what it has.
to_work() { echo $((deadline - SECONDS > 25 ? deadline - SECONDS - 15 : 10)); }

# ------------------------------------------------------------------------------ the steps

step_build() {
    local present='' with=()
    if [[ -z ${CMAKE_CUDA_ARCHITECTURES:-}${TORCH_CUDA_ARCH_LIST:-} ]]; then
        # What is there is built soonest.
        present=$(timeout 60 "$python" -c '
import torch
devices = range(torch.cuda.device_count())
print(";".join(sorted({"%d%d-real" % torch.cuda.get_device_capability(n) for n in devices})))')
        [[ -z $present ]] || with=(env "CMAKE_CUDA_ARCHITECTURES=$present")
    fi
    task 'pip install' 0 "${with[@]+"${with[@]}"}" "$python" -m pip install --no-build-isolation \
        --no-deps --no-index --editable "$root"
    task 'winit-cuda info' 0 "$python" -m winit_cuda info
}

step_bits() {
    if $dry_run; then
        task 'every kernel, on the CPU' 0 "$python" -m benchmarks.gpu.sanitizer_cases --device cpu
        return
    fi
    task 'the core serves every GPU' 0 "$python" -c '
import winit_cuda
uses = [use for use in winit_cuda.backend_info().devices if use.device.startswith("cuda")]
print(*uses, sep="\n")
raise SystemExit(not uses or any(use.backend != "native" for use in uses))'
    task 'every kernel as on the CPU' 0 "$python" -m benchmarks.gpu.sanitizer_cases --device cuda
}

step_bench() {
    local options=(--commit "$commit" --seconds "$(to_work)")
    ! $dry_run || options+=(--dry-run)
    task 'benchmarks' 0 "$python" -m benchmarks.gpu.bench "$out" "${options[@]}"
}

step_tune() {
    local options=(--seconds "$(to_work)")
    ! $dry_run || options+=(--dry-run)
    task 'tuning' 0 "$python" -m benchmarks.gpu.tune "$out" "${options[@]}"
}

# A tool of compute-sanitizer says something about the kernels only where it finds the error of the
# control. Some sandboxes refuse it, and then nothing is known: no failure of the package.
step_sanitizer() {
    local nvcc sanitizer tool found=42 status
    local cases=("$python" -m benchmarks.gpu.sanitizer_cases)
    nvcc=$(find_tool nvcc) || nvcc=''
    sanitizer=$(find_tool compute-sanitizer) || sanitizer=''
    if [[ -z $nvcc || -z $sanitizer ]]; then
        note compute-sanitizer "LEFT OUT: nvcc is ${nvcc:-not found}" 0 \
            "compute-sanitizer is ${sanitizer:-not found in PATH, CUDA_HOME, CUDA_PATH, /usr/local/cuda}"
        return
    fi
    if $dry_run; then
        task 'compile the control' 0 "$nvcc" -o control "$root/benchmarks/gpu/sanitizer_control.cu"
        return
    fi
    task 'compile the control' 0 "$nvcc" -arch=native -lineinfo -o control \
        "$root/benchmarks/gpu/sanitizer_control.cu" || return
    for tool in memcheck racecheck initcheck; do
        local watch=("$sanitizer" --tool "$tool" --error-exitcode "$found" --print-limit 20)
        printf '\n== sanitizer: %s on the control\n' "$tool" >>"$log"
        run 30 "${watch[@]}" ./control "$tool"
        status=$?
        cat "$work/output" >>"$log"
        if ((status != found)); then
            note "$tool" "LEFT OUT: it does not find the control's error here" 0 \
                "exit status $status: $(grep -v '^\s*$' "$work/output" | tail -n 1)"
            continue
        fi
        # Each tensor is an allocation of its own, so that what lies beside it is out of bounds.
        task "$tool on every kernel" 0 env PYTORCH_NO_CUDA_MEMORY_CACHING=1 \
            "${watch[@]}" "${cases[@]}" --device cuda
    done
}

step_tests() {
    task 'tests marked cuda' 0 "$python" -m pytest -c "$root/pyproject.toml" --rootdir "$root" \
        -p no:cacheprovider -m cuda -v --color=no "$root/tests"
}

# ------------------------------------------------------------------------------ all of it

for step in "${all_steps[@]}"; do
    [[ ,$steps, == *,$step,* ]] || continue
    deadline=$((SECONDS + (limit * shares[$step] + 99) / 100))
    ((deadline < end)) || deadline=$end
    "step_$step"
done
shorten_log

verdict='nothing failed'
((${#failures[@]} == 0)) || verdict="${#failures[@]} of ${#rows[@]} FAILED"
((cuts == 0)) || verdict+=", $cuts cut for time"
{
    printf '# GPU acceptance of %s: %s\n\n' "$commit" "$verdict"
    printf -- '- FAILED: %s\n' "${failures[@]+"${failures[@]}"}" | grep -v ': $'
    ! $dry_run || printf 'A DRY RUN on the CPU: it says that the steps start, nothing about a GPU.\n\n'
    printf '\n%s, steps %s, %s of %s s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$steps" "$SECONDS" \
        "$limit" "$(timeout 20 nvidia-smi -L 2>/dev/null || echo 'no GPU answers nvidia-smi')"
    printf '\n| step | task | result | seconds | last line |\n|:--|:--|:--|--:|:--|\n'
    printf '%s\n' "${rows[@]}"
} >"$out/summary.md"
printf '\n%s; %s\n' "$verdict" "$out/summary.md"
((${#failures[@]} == 0))
