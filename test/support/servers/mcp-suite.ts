// What MCP's conformance suite asks of a server, by its names: tools, resources and prompts, as both official SDKs serve them.

export const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

const said = (text: string) => ({ type: "text" as const, text });
const image = { type: "image" as const, data: PNG, mimeType: "image/png" };
const embedded = (uri: string, mimeType: string, text: string) => ({
  type: "resource" as const,
  resource: { uri, mimeType, text },
});

/** Tools that answer at once. */
export const PLAIN_TOOLS = {
  test_simple_text: { content: [said("This is a simple text response for testing.")] },
  test_image_content: { content: [image] },
  test_audio_content: { content: [{ type: "audio" as const, data: WAV, mimeType: "audio/wav" }] },
  test_embedded_resource: {
    content: [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")],
  },
  test_multiple_content_types: {
    content: [
      said("Multiple content types test:"),
      image,
      embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ],
  },
  test_error_handling: {
    isError: true,
    content: [said("This tool intentionally returns an error for testing")],
  },
};

export const RESOURCES = {
  "test://static-text": { mimeType: "text/plain", text: "This is the content of the static text resource." },
  "test://static-binary": { mimeType: "image/png", blob: PNG },
  "test://watched-resource": { mimeType: "text/plain", text: "watched" },
};
export const TEMPLATE = "test://template/{id}/data";
export const templated = (id: string) =>
  JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });

type Content = ReturnType<typeof said> | ReturnType<typeof embedded> | typeof image;
const messages = (...all: readonly Content[]) => ({
  messages: all.map((content) => ({ role: "user" as const, content })),
});
export const PROMPTS = {
  test_simple_prompt: { takes: [], gives: () => messages(said("This is a simple prompt for testing.")) },
  test_prompt_with_arguments: {
    takes: ["arg1", "arg2"],
    gives: ({ arg1, arg2 }: Given) => messages(said(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
  },
  test_prompt_with_embedded_resource: {
    takes: ["resourceUri"],
    gives: ({ resourceUri = "" }: Given) =>
      messages(
        embedded(resourceUri, "text/plain", "Embedded resource content for testing."),
        said("Please process the embedded resource above."),
      ),
  },
  test_prompt_with_image: {
    takes: [],
    gives: () => messages(image, said("Please analyze the image above.")),
  },
} as const satisfies Record<string, { takes: readonly string[]; gives: (given: Given) => object }>;
type Given = Readonly<Record<string, string>>;

/** As the suite asks of servers on loopback: nobody's page may reach them by another name (DNS rebinding). */
export function isLocal(host: string | undefined, origin: string | undefined): boolean {
  const name = (host ?? "").replace(/:\d+$/, "");
  const own = /^https?:\/\/(localhost|127\.0\.0\.1)(:\d+)?$/;
  return ["127.0.0.1", "localhost"].includes(name) && (origin === undefined || own.test(origin));
}
