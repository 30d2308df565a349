export class ModuleSite {
  static open(): Promise<ModuleSite>;
  readonly origin: string;
  close(): void;
}

export class EverythingServer {
  static start(): Promise<EverythingServer>;
  readonly url: string;
  /** Starts it again, where it was. */
  restart(): Promise<void>;
  kill(): Promise<void>;
}
