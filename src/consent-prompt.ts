/**
 * The question of consent, asked in a corner of the page: no dialog that blocks, no shift of the layout, both
 * answers alike. It lives in a shadow root with a sheet of its own, so that neither the site's style
 * reaches it nor its style the site; it needs no inline style, script or HTML parser, so that any content
 * security policy and trusted types let it be.
 * @module
 */

/** What the prompt says. */
export interface PromptTexts {
  readonly text: string;
  readonly yes: string;
  readonly no: string;
  /** URL of the page that explains more; none without it. */
  readonly link: string | undefined;
  readonly linkText: string;
  /** Language of the texts; `undefined` if it is the page's. */
  readonly lang: string | undefined;
}

/** A screen reader has taken the announcement up by then. */
const SAID_MS = 5_000;

const STYLE = `
:host {
  all: initial !important;
  color-scheme: light dark !important;
  position: fixed !important;
  inset: auto !important;
  inset-block-end: calc(1rem + env(safe-area-inset-bottom)) !important;
  inset-inline-end: 1rem !important;
  z-index: 2147483647 !important;
  display: block !important;
  box-sizing: border-box !important;
  inline-size: min(26rem, 100vw - 2rem) !important;
  max-block-size: calc(100vh - 2rem) !important;
  overflow: auto !important;
  padding: 1rem !important;
  border: 1px solid GrayText !important;
  border-radius: .75rem !important;
  background: Canvas !important;
  color: CanvasText !important;
  box-shadow: 0 .25rem 1.5rem rgb(0 0 0 / .25) !important;
  font: 1rem/1.45 system-ui, sans-serif !important;
}
p { margin: 0 0 .75rem }
div { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center }
button {
  flex: 1 1 8rem;
  min-block-size: 2.75rem;
  padding: .4rem 1rem;
  border: 1px solid ButtonBorder;
  border-radius: .5rem;
  background: ButtonFace;
  color: ButtonText;
  font: inherit;
  font-weight: 600;
  cursor: pointer;
}
span { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%) }
button:hover { border-color: Highlight }
a { color: LinkText; margin-inline-start: .4em }
:focus-visible { outline: 3px solid Highlight; outline-offset: 2px }
@media (prefers-reduced-motion: no-preference) {
  :host { animation: rise .25s ease-out !important }
  @keyframes rise { from { opacity: 0; transform: translateY(.5rem) } }
}
@media print { :host { display: none !important } }
`;

/**
 * Shows the prompt when the page has a body, until it is answered, put off with Escape or `signal` aborts.
 * It takes no focus: it is announced politely and lies in the tab order at the end of the page.
 */
export function askConsent(
  texts: PromptTexts,
  onAnswer: (given: boolean) => void,
  signal: AbortSignal,
): void {
  if (signal.aborted) return;
  if (!document.body) {
    const later = () => askConsent(texts, onAnswer, signal);
    addEventListener("DOMContentLoaded", later, { once: true, signal });
    return;
  }
  const host = document.createElement("nearcast-consent");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];
  host.role = "region";
  host.ariaLabel = texts.text;
  if (texts.lang) host.lang = texts.lang;

  const statement = add(root, "p", texts.text);
  if (texts.link !== undefined) {
    const link = add(statement, "a", texts.linkText);
    link.href = texts.link;
    link.target = "_blank";
    link.rel = "noopener";
  }
  const buttons = add(root, "div");
  const close = () => host.remove();
  for (const [label, given] of [
    [texts.no, false],
    [texts.yes, true],
  ] as const) {
    const button = add(buttons, "button", label);
    button.type = "button";
    button.addEventListener("click", () => {
      close();
      onAnswer(given);
    });
  }
  host.addEventListener("keydown", ({ key }) => key === "Escape" && close());
  signal.addEventListener("abort", close, { once: true });
  document.body.append(host);
  announce(root, texts.text, signal);
}

/** A live region speaks of what changes in it, so it must be there first; said once, it is silent again. */
function announce(root: ShadowRoot, text: string, signal: AbortSignal): void {
  const voice = add(root, "span");
  voice.role = "status";
  const timers = [
    setTimeout(() => voice.append(text), 100),
    setTimeout(() => voice.remove(), SAID_MS),
  ];
  signal.addEventListener("abort", () => timers.forEach(clearTimeout), { once: true });
}

function add<Name extends keyof HTMLElementTagNameMap>(
  parent: Node,
  name: Name,
  text = "",
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  element.textContent = text;
  parent.appendChild(element);
  return element;
}
