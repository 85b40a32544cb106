/** Elements made by hand: the page never gives recorded text to a parser of HTML. */
type Child = Node | string | undefined | readonly Child[];
type Props = {
  readonly class?: string;
  readonly id?: string;
  readonly for?: string;
  readonly type?: string;
  readonly name?: string;
  readonly value?: string;
  readonly placeholder?: string;
  readonly title?: string;
  readonly role?: string;
  readonly rows?: number;
  readonly checked?: boolean;
  readonly open?: boolean;
  readonly hidden?: boolean;
  readonly tabindex?: number;
  readonly scope?: string;
  readonly accept?: string;
  readonly spellcheck?: "false";
  readonly "aria-label"?: string;
  readonly "aria-live"?: "polite";
  readonly "aria-pressed"?: "true" | "false";
  readonly on?: Readonly<Record<string, (event: Event) => void>>;
};

/** Strings become text nodes, properties become attributes; none of the names above is one that runs a script. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  const { on, ...attributes } = props;
  for (const [name, value] of Object.entries(attributes))
    if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value));
  for (const [name, listener] of Object.entries(on ?? {})) element.addEventListener(name, listener);
  put(element, children);
  return element;
}

export function put(into: Element, children: readonly Child[]): void {
  for (const child of children)
    if (Array.isArray(child)) put(into, child as readonly Child[]);
    else if (child !== undefined) into.append(child as Node | string);
}
