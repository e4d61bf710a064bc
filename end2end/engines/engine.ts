/** A tab of a browser: the few actions that the journey needs, the same in every engine. */
export interface Tab {
  /** Loads an address; resolves also if no server answers. */
  goto(url: string): Promise<void>;
  reload(): Promise<void>;
  close(): Promise<void>;
  /** Focuses an element and presses the keys of a text. */
  type(selector: string, text: string): Promise<void>;
  /** Presses Enter in an element. */
  enter(selector: string): Promise<void>;
  /** The value of a JavaScript expression, converted by JSON. */
  evaluate<T>(expression: string): Promise<T>;
}

/** A running browser. Its tabs share cookies and storage, as those of one user do. */
export interface Browser {
  newTab(): Promise<Tab>;
  close(): Promise<void>;
}

/** A browser that may be installed on this machine. */
export interface Engine {
  readonly name: string;
  /** The reason why this system cannot have it; undefined if it can. */
  readonly unavailable?: string;
  start(): Promise<Browser>;
}
