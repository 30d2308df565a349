export class ModuleSite {
  static open(): Promise<ModuleSite>;
  readonly origin: string;
  close(): void;
}
