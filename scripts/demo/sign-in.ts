// A person at the demo's identity provider, without a browser: follows redirects, keeps cookies, presses buttons.

interface Page {
  readonly url: URL;
  readonly html: string;
}

const attribute = (tag: string, name: string): string | undefined =>
  new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1]?.replaceAll("&amp;", "&");

/** What a person called `user` sends from a page: its hidden fields, its device code, and the button with the name. */
function filled(html: string, user: string): URLSearchParams {
  const fields = new URLSearchParams();
  for (const [tag] of html.matchAll(/<input\b[^>]*>/g)) {
    const name = attribute(tag, "name");
    if (name !== undefined) fields.set(name, attribute(tag, "value") ?? "");
  }
  if (html.includes('name="login"')) fields.set("login", user);
  return fields;
}

/**
 * Opens a page of the provider (an authorization URL, or `verification_uri_complete` of the device flow), signs in as
 * `user`, and returns where that ends: the first redirect off the provider's origin, which is not fetched, or the URL
 * of the last page without a form.
 */
export async function signIn(start: string | URL, user: string): Promise<URL> {
  const jar = new Map<string, string>();
  const origin = new URL(start).origin;

  async function open(from: URL, body?: URLSearchParams): Promise<Page | URL> {
    let [url, form] = [from, body];
    for (let hop = 0; hop < 10; hop++) {
      if (url.origin !== origin) return url;
      const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
      const init: RequestInit = { redirect: "manual", headers: { cookie } };
      const answer = await fetch(url, form === undefined ? init : { ...init, method: "POST", body: form });
      for (const line of answer.headers.getSetCookie()) {
        const [name = "", value = ""] = (line.split(";")[0] ?? "").split(/=(.*)/);
        jar.set(name, value);
      }
      const html = await answer.text();
      const location = answer.headers.get("location");
      if (location === null) {
        if (!answer.ok)
          throw new Error(`sign-in: ${answer.status} at ${url.pathname}: ${html.slice(0, 500)}`);
        return { url, html };
      }
      [url, form] = [new URL(location, url), undefined];
    }
    throw new Error(`sign-in: too many redirects at ${url.href}`);
  }

  let page = await open(new URL(start));
  for (let step = 0; step < 6; step++) {
    if (page instanceof URL) return page;
    const tag = /<form\b[^>]*>/.exec(page.html)?.[0];
    if (tag === undefined) return page.url;
    const action = attribute(tag, "action");
    page = await open(action === undefined ? page.url : new URL(action, page.url), filled(page.html, user));
  }
  throw new Error("sign-in: the provider keeps asking");
}
