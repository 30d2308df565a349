type Run = (group: string, name: string, ...args: unknown[]) => Promise<unknown>;
export const workerChecks: Record<string, (run: Run) => Promise<void>>;
export const mcpChecks: Record<string, (run: Run) => Promise<void>>;
