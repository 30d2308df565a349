export class ModuleSite {
  static open(): Promise<ModuleSite>;
  readonly origin: string;
  close(): void;
}

export class EverythingServer {
  static start(): Promise<EverythingServer>;
  readonly url: string;
  /** How many POST requests came since it was started last. */
  readonly posts: number;
  /** Starts it again, where it was. */
  restart(): Promise<void>;
  kill(): Promise<void>;
}
