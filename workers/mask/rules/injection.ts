/** Phrases by which text that was fetched tries to give orders to the agent that reads it. */
import { parsePattern } from "../pattern/parse.ts";
import type { Rule } from "../rule.ts";

const PHRASES: Readonly<Record<string, string>> = {
  "ignore-instructions":
    "(?i)\\b(?:ignore|disregard|forget|override)\\s{1,4}(?:(?:all|any|the|your|my|of|these|those|and)\\s{1,4}){0,4}(?:previous|prior|above|earlier|preceding|original|system)\\s{1,4}(?:instructions?|prompts?|messages?|directions?|rules|commands|context)\\b",
  "new-instructions":
    "(?i)\\b(?:your\\s{1,4}new\\s{1,4}instructions?|new\\s{1,4}system\\s{1,4}prompt|updated\\s{1,4}instructions?)\\s{0,4}(?:are|is|:)",
  "reveal-prompt":
    "(?i)\\b(?:reveal|print|repeat|show|output|leak)\\s{1,4}(?:me\\s{1,4})?(?:your|the)\\s{1,4}(?:hidden\\s{1,4}|initial\\s{1,4}|full\\s{1,4}|entire\\s{1,4})?(?:system\\s{1,4}prompt|system\\s{1,4}message|initial\\s{1,4}instructions)\\b",
  "role-change":
    "(?i)\\byou\\s{1,4}are\\s{1,4}(?:now|no\\s{1,4}longer)\\s{1,4}(?:in\\s{1,4})?(?:dan|developer\\s{1,4}mode|jailbroken|unrestricted|bound\\s{1,4}by)\\b",
  "hide-from-user":
    "(?i)\\b(?:do\\s{1,4}not|don't|never|without)\\s{1,4}(?:tell(?:ing)?|inform(?:ing)?|mention(?:ing)?|alert(?:ing)?|notify(?:ing)?)\\s{1,4}(?:this\\s{1,4}to\\s{1,4}|it\\s{1,4}to\\s{1,4})?(?:the\\s{1,4})?(?:user|human|operator|developer)\\b",
  "chat-markers":
    "<\\|(?:im_start|im_end|system|endoftext|start_header_id|eot_id)\\|>|\\[/?INST\\]|<</?SYS>>",
  "tool-coercion":
    "(?i)<(?:important|system|secret)>\\s{0,8}(?:before|you\\s{1,4}must|when|always|do\\s{1,4}not)\\b",
};

export const INJECTION: readonly Rule[] = Object.entries(PHRASES).map(([name, pattern]) => ({
  detector: "injection",
  name,
  severity: "high",
  match: parsePattern(pattern),
}));
