#!/bin/sh
# Owns the listening sockets of one workerd and starts it again when it dies: connections wait meanwhile, none is refused.
# usage: hold.sh GRACE LOCK COMMAND…   (LOCK is a file that only one recorder may hold, or "")
# fd 0  lines `set NAME=VALUE` up to `go`: the environment. HUP stops workerd until the next `go`
# fd 3  open for as long as the supervisor lives
# fd 4  the lock      fd 5  `halted`, and workerd's control messages      fd 6…  sockets: inherited by the command
grace=$1 lock=$2 child='' again='' quick=0
shift 2
if [ -n "$lock" ]; then
  exec 4>>"$lock"
  # Inherited by workerd too, so that not even an orphan shares its state with the next recorder.
  flock -w $((grace + 5)) 4 || { echo "steno: another recorder holds $lock" >&2; exit 75; }
fi
command -v setpriv >/dev/null && set -- setpriv --pdeathsig KILL "$@"

settle() {
  while IFS= read -r line; do
    case $line in go) return ;; 'set '*) export "${line#set }" ;; esac
  done
  exit 0
}
halt() { # SIGTERM lets requests finish; an open WebSocket would never let it exit.
  # Empty when workerd has ended: its number may be somebody else's by now.
  [ -n "$child" ] && kill -TERM "$child" 2>/dev/null || return 0
  left=$((grace * 20))
  while [ $left -gt 0 ] && kill -0 "$child" 2>/dev/null; do sleep 0.05; left=$((left - 1)); done
  [ $left -gt 0 ] || kill -KILL "$child" 2>/dev/null
}
trap 'halt; kill "$watch" 2>/dev/null; exit 0' TERM INT
trap 'again=1; halt; echo halted >&5' HUP
(read -r _ <&3; kill -TERM $$) & watch=$!
settle
while :; do
  [ -z "$again" ] || { again=''; settle; }
  began=$(date +%s)
  "$@" </dev/null 3<&- & child=$!
  wait $child; code=$? child=''
  [ -z "$again" ] || continue
  echo "steno: workerd ended with $code; starting it again" >&2
  if [ $(($(date +%s) - began)) -lt 5 ]; then quick=$((quick + 1)); else quick=0; fi
  if [ $quick -lt 3 ]; then sleep 0.1; else sleep 2; fi
done
