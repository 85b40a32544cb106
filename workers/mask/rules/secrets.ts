/**
 * Credentials, by the forms their issuers document: a prefix that nobody else uses, an alphabet, a length. What has no
 * such form is a secret only where it stands: behind a name such as `password`, and when it looks random.
 */
import { parsePattern } from "../pattern/parse.ts";
import type { Rule } from "../rule.ts";
import { checksummed, random, whole } from "./prove.ts";

const HEX = "[0-9a-f]";
const AN = "[A-Za-z0-9]";
const URL64 = "[A-Za-z0-9_-]";
const UUID = `${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}`;

/** Name, and pattern; `\b` in front is added where the form begins with a letter or a digit. */
const FORMS: readonly (readonly [name: string, pattern: string])[] = [
  ["1password-service-token", `ops_eyJ[A-Za-z0-9+/=]{40,}`],
  ["adafruit-key", `aio_${AN}{28}`],
  ["age-secret-key", "AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"],
  ["airtable-token", `pat${AN}{14}\\.${HEX}{64}`],
  ["alibaba-key-id", `LTAI${AN}{17,21}`],
  ["anthropic-key", `sk-ant-(?:api|admin|oat|ort|sid)\\d{2}-${URL64}{40,}`],
  ["artifactory-token", `AKCp${AN}{69}|cmVmd${AN}{59}`],
  ["atlassian-token", `ATATT3${URL64}{20,}=?${HEX}{0,8}|ATCTT3${URL64}{20,}`],
  ["aws-access-key-id", "(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"],
  ["aws-bedrock-key", "ABSK[A-Za-z0-9+/]{80,}={0,2}|bedrock-api-key-[A-Za-z0-9+/]{40,}={0,2}"],
  ["azure-client-secret", "[A-Za-z0-9_~.]{3}\\dQ~[A-Za-z0-9_~.-]{31,34}"],
  ["bitbucket-token", `ATBB${AN}{32}`],
  ["buildkite-token", `bk[au]a_${HEX}{40}`],
  ["circleci-token", `CCI(?:PAT|PRJ)_${AN}{10,}_${HEX}{40}`],
  ["clickhouse-cloud-key", `4b1d${AN}{38}`],
  ["clojars-token", "CLOJARS_[0-9a-z]{60}"],
  ["cloudflare-token", `cf(?:ut|at|k)_${AN}{40,}`],
  ["contentful-token", `CFPAT-${URL64}{43}`],
  ["crates-token", `cio${AN}{32}`],
  ["databricks-token", `dapi${HEX}{32}(?:-\\d)?`],
  ["digitalocean-token", `do[opr]_v1_${HEX}{64}`],
  ["docker-token", `dckr_(?:pat|oat)_${URL64}{27,}`],
  ["doppler-token", `dp\\.(?:pt|st|ct|scim|audit)\\.(?:[a-z0-9_-]{2,35}\\.)?${AN}{40,44}`],
  ["dropbox-token", `sl\\.(?:u\\.)?${URL64}{120,}`],
  ["duffel-token", `duffel_(?:test|live)_${URL64}{43}`],
  ["dynatrace-token", "dt0[a-z]01\\.[A-Z0-9]{24}\\.[A-Z0-9]{64}"],
  ["easypost-key", `EZ[AT]K${AN}{54}`],
  ["facebook-token", `EAA[MC]${AN}{100,}`],
  ["figma-token", `figd_${URL64}{40}`],
  ["flutterwave-key", `FLW(?:PUBK|SECK)(?:_TEST)?-${HEX}{32}-X`],
  ["fly-token", "fo1_[A-Za-z0-9_-]{43}|fm[12][ar]?_[A-Za-z0-9+/]{100,}={0,3}"],
  ["frameio-token", `fio-u-${URL64}{64}`],
  [
    "gitlab-token",
    `gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt|ffct|oas)-${URL64}{20,}(?:\\.${AN}{2}\\.${AN}{7,9})?`,
  ],
  ["gitlab-runner-token", `GR1348941${URL64}{20}`],
  ["google-api-key", `AIza${URL64}{35}`],
  ["google-oauth-secret", `GOCSPX-${URL64}{28}`],
  ["google-oauth-token", `ya29\\.${URL64}{20,}`],
  ["grafana-token", `glc_[A-Za-z0-9+/]{32,}={0,2}|glsa_${AN}{32}_[A-Fa-f0-9]{8}`],
  ["groq-key", `gsk_${AN}{52}`],
  ["heroku-key", `HRKU-AA${URL64}{58}`],
  ["huggingface-token", `(?:hf|api_org)_${AN}{34}`],
  ["infracost-key", `ico-${AN}{32}`],
  ["jwt", `ey[IJKLM]${URL64}{10,}\\.ey[IJKLM]${URL64}{10,}\\.${URL64}{10,}`],
  ["langsmith-key", `lsv2_(?:pt|sk)_${HEX}{32}_${HEX}{10}`],
  ["launchdarkly-key", `(?:sdk|api)-${UUID}`],
  ["linear-key", `lin_(?:api|oauth)_${AN}{40,}`],
  ["lob-key", `(?:live|test)_pub_${HEX}{31}|live_${HEX}{35}`],
  ["mailchimp-key", `${HEX}{32}-us\\d{1,2}`],
  ["mailgun-key", `key-${HEX}{32}`],
  ["mapbox-secret", `sk\\.eyJ${URL64}{20,}\\.${URL64}{20,}`],
  ["microsoft-teams-webhook", `https://${AN}{1,40}\\.webhook\\.office\\.com/webhookb2/[A-Za-z0-9@/-]{60,}`],
  ["netlify-token", `nf[pcoub]_${AN}{36,}`],
  ["new-relic-key", `NRAK-[A-Z0-9]{27}|NRJS-${HEX}{19}|NRII-${URL64}{32}`],
  ["notion-token", `ntn_${AN}{40,}|secret_${AN}{43}`],
  ["nuget-key", "oy2[a-z0-9]{43}"],
  ["openai-key", `sk-${URL64}{20,}T3BlbkFJ${URL64}{20,}|sk-(?:proj|svcacct|admin)-${URL64}{40,}`],
  ["openrouter-key", `sk-or-v1-${HEX}{64}`],
  ["openshift-token", `sha256~${URL64}{43}`],
  ["perplexity-key", `pplx-${AN}{48,}`],
  ["plaid-token", `access-(?:sandbox|development|production)-${UUID}`],
  ["planetscale-token", "pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_=.-]{32,64}"],
  ["posthog-key", `ph[xc]_${AN}{40,}`],
  ["postman-key", `PMAK-${HEX}{24}-${HEX}{34}`],
  ["prefect-key", `pn[ub]_${AN}{36}`],
  ["pulumi-token", `pul-${HEX}{40}`],
  ["pypi-token", `pypi-AgEIcHlwaS5vcmc${URL64}{50,}`],
  ["razorpay-key", `rzp_live_${AN}{14,}`],
  ["readme-key", "rdme_[a-z0-9]{70}"],
  ["replicate-token", `r8_${AN}{37}`],
  ["rubygems-key", `rubygems_${HEX}{48}`],
  ["salesforce-token", `00D${AN}{12,15}![A-Za-z0-9._]{80,}`],
  ["scalingo-token", `tk-us-${URL64}{48}`],
  ["sendgrid-key", `SG\\.${URL64}{22}\\.${URL64}{43}`],
  ["sendinblue-key", `xkeysib-${HEX}{64}-${AN}{16}`],
  ["sentry-token", `sntry[su]_[A-Za-z0-9+/=_]{64,}`],
  ["shippo-token", `shippo_(?:live|test)_${HEX}{40}`],
  ["shopify-token", "shp(?:at|ca|pa|ss|ua)_[0-9a-fA-F]{32}"],
  ["slack-token", "xox[abeoprs](?:\\.xox[bp])?-[0-9A-Za-z-]{10,}"],
  ["slack-app-token", "xapp-\\d-[A-Z0-9]{8,}-\\d{8,}-[a-z0-9]{20,}"],
  [
    "slack-webhook",
    "https://hooks\\.slack(?:-gov)?\\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/_-]{40,}",
  ],
  ["sonar-token", `sq[upa]_${HEX}{40}`],
  ["sourcegraph-token", `sgp_(?:[a-fA-F0-9]{16}_|local_)?${HEX}{40}`],
  ["square-token", `EAAA${URL64}{60}|sq0(?:atp-${URL64}{22}|csp-${URL64}{43})`],
  ["stripe-key", `(?:sk|rk)_(?:live|test|prod)_${AN}{16,}`],
  ["stripe-webhook-secret", "whsec_[A-Za-z0-9+/=]{32,}"],
  ["supabase-key", `sbp_${HEX}{40}|sb_secret_${URL64}{31}`],
  ["tailscale-key", `tskey-(?:auth|api|client|scim|webhook)-${AN}{8,}-${AN}{20,}`],
  ["telegram-token", `\\d{8,10}:AA${URL64}{33}`],
  ["tencent-key-id", `AKID${AN}{32}`],
  ["terraform-token", `${AN}{14}\\.atlasv1\\.[A-Za-z0-9_=-]{60,70}`],
  ["twilio-key", `(?:SK|AC)${HEX}{32}`],
  ["typeform-token", "tfp_[A-Za-z0-9_.=-]{59}"],
  ["vault-token", `hv[sbr]\\.${URL64}{24,}`],
  ["vercel-token", `vc[kpial]_${AN}{24,}`],
  ["xai-key", `xai-${AN}{70,}`],
  ["yandex-key", `AQVN${URL64}{35,38}|y[03]_${URL64}{54,}`],
];

/** GitHub's and npm's carry a checksum: one that holds is a token beyond doubt. */
const CHECKSUMMED: readonly (readonly [string, string])[] = [
  ["github-token", `gh[pousr]_${AN}{36,}`],
  ["npm-token", `npm_${AN}{36}`],
];

const LINE = "(?:\\\\[nr]|[\\s>|])";
/** RFC 7468, also where a JSON or YAML string has it with `\n`: header, lines, and the end where it is there. */
const PEM = `-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:${LINE}*[A-Za-z0-9+/=]{16,}|${LINE}+[A-Z][A-Za-z-]{2,20}: [^\\n\\\\]{1,80})*(?:${LINE}+[A-Za-z0-9+/=]{1,15}){0,2}(?:${LINE}*-----END [A-Z0-9 ]{1,40}-----)?`;

/** A name that says what stands behind it, and what assigns. */
const NAMED =
  "(?i)(?:api[_.-]?key|apikey|access[_.-]?key|account[_.-]?key|private[_.-]?key|secret|token|passw(?:or)?d|passphrase|pwd|credentials?)[a-z0-9_.-]{0,24}[\"'`\\]]{0,2}\\s{0,4}(?:=>|:=|==|=|:|,)\\s{0,4}[\"'`]?";

const secret = (name: string, pattern: string): Rule => ({
  detector: "secrets",
  name,
  severity: "high",
  match: parsePattern(pattern),
});

const anchored = (pattern: string): string =>
  pattern
    .split(/\|(?![^(]*\))/)
    .map((part) => (/^[A-Za-z0-9[(\\]/.test(part) ? `\\b${part}` : part))
    .join("|");

export const SECRETS: readonly Rule[] = [
  ...FORMS.map(([name, pattern]) => secret(name, anchored(pattern))),
  ...CHECKSUMMED.map(([name, pattern]) => ({ ...secret(name, `\\b${pattern}`), prove: checksummed })),
  secret("github-fine-grained-token", "\\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
  { ...secret("private-key", PEM), severity: "critical" },
  {
    ...secret("aws-secret-key", "[A-Za-z0-9/+]{40}\\b"),
    before: parsePattern("(?i)aws.{0,20}?(?:secret|sk).{0,20}?[=:\"' ]{1,6}"),
    prove: whole(random(4)),
  },
  {
    ...secret("password-in-url", "[^\\s:/@\"'<>]{3,128}"),
    before: parsePattern("(?i)\\b[a-z][a-z0-9+.-]{1,20}://[^\\s:/@\"'<>]{0,64}:"),
    after: parsePattern("@"),
    prove: whole((text) => !/^(?:\$|\{|%|\*|<|x{3}|\d{1,5}$)/i.test(text)),
  },
  {
    ...secret("bearer-token", "[A-Za-z0-9_.~+/=-]{20,}"),
    before: parsePattern("(?i)\\bauthorization[\"']?\\s{0,2}:\\s{0,2}[\"']?(?:bearer|token|basic)\\s{1,2}"),
    prove: whole(random(3)),
  },
  {
    ...secret("named-secret", "[A-Za-z0-9/+=_.~-]{16,}"),
    severity: "medium",
    before: parsePattern(NAMED),
    prove: whole(random(3.5)),
  },
];
