#!/bin/sh
# Between an agent's hook and the gateway: shim.sh cursor|claude EVENT, the event's JSON on standard input.
# STENO_GATEWAY and STENO_TOKEN, or the files `gateway` and `token` in the configuration directory of steno.
# What is not answered is not allowed: exit 2, with the reason, where the event can be stopped, else exit 1.
agent=$1 event=$2
dir="${XDG_CONFIG_HOME:-$HOME/.config}/steno"
[ -d "$HOME/Library/Application Support/steno" ] && dir="$HOME/Library/Application Support/steno"

no() {
  why="steno: $1"
  printf '%s\n' "$why" >&2
  why=$(printf '%s' "$why" | tr -d '\000-\037"\\')
  case $agent:$event in
  cursor:beforeSubmitPrompt) printf '{"continue":false,"user_message":"%s"}\n' "$why" ;;
  cursor:preToolUse | cursor:before* | cursor:subagentStart)
    printf '{"permission":"deny","user_message":"%s","agent_message":"%s"}\n' "$why" "$why" ;;
  claude:PreToolUse | claude:UserPromptSubmit) ;;
  cursor:session* | cursor:after* | cursor:post* | cursor:stop | cursor:subagentStop | cursor:preCompact | cursor:workspaceOpen) exit 1 ;;
  claude:Session* | claude:PostToolUse* | claude:Stop | claude:SubagentStop | claude:PreCompact) exit 1 ;;
  esac
  exit 2
}

case $agent in
cursor) ;;
# Cursor runs the hooks of Claude Code too, and has been asked by its own.
claude) [ -n "$CURSOR_VERSION" ] && [ -z "$CLAUDECODE" ] && { printf '{}\n'; exit 0; } ;;
*) agent=cursor; no "say cursor or claude, and the event" ;;
esac

nl='
' cr=$(printf '\r')
token=$STENO_TOKEN gateway=$STENO_GATEWAY
[ -n "$token" ] || { [ -r "$dir/token" ] && read -r token <"$dir/token"; }
[ -n "$gateway" ] || { [ -r "$dir/gateway" ] && read -r gateway <"$dir/gateway"; }
# Files that Windows wrote end their lines in two letters.
token=${token%"$cr"} gateway=${gateway%"$cr"}
[ -n "$token" ] || no "there is no token: set STENO_TOKEN, or keep it in $dir/token"
case $token in *[!!-~]* | *[\"\\]*) no "the token is none" ;; esac
hold=${STENO_HOLD_SECONDS:-540} whole=${STENO_HOOK_SECONDS:-30}
case $hold in *[!0-9]*) no "STENO_HOLD_SECONDS is not a number of seconds" ;; esac
case $whole in *[!0-9]*) no "STENO_HOOK_SECONDS is not a number of seconds" ;; esac
gateway=${gateway:-http://127.0.0.1:8787}

# Kept, since what waits for approval is asked again. Agents give a socket as standard input.
said=$(cat)
until=$(($(date +%s) + hold))
while :; do
  # The token goes by a descriptor: arguments can be read by every user of the machine.
  answer=$(
    printf '%s' "$said" | curl -q -sS -K /dev/fd/3 -X POST --data-binary @- -A "steno-hook/$agent" -H 'content-type: application/json' -H 'expect:' \
      --noproxy '*' --connect-timeout 5 --max-time "$whole" -w '\n%{http_code}' \
      "${gateway%/}/hooks/$agent" 2>&1 3<<END
header = "authorization: Bearer $token"
END
  ) || no "the gateway does not answer: ${answer#"${nl}000"}"
  status=${answer##*"$nl"} body=${answer%"$nl"*}
  body=${body%"$nl"}
  # 202: nobody has decided yet; its body is a no.
  [ "$status" = 202 ] && [ "$(date +%s)" -lt "$until" ] || break
done
case $status in 200 | 202) ;; *) no "the gateway says $status: $body" ;; esac
case $body in '{'*) ;; *) no "the answer is not a gateway's" ;; esac
printf '%s\n' "$body"
