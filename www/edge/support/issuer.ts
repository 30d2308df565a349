// An identity provider: keys under its address, and tokens signed with them.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from "jose";

type Algorithm = "RS256" | "ES256";
type PrivateKey = Awaited<ReturnType<typeof generateKeyPair>>["privateKey"];

export class Issuer {
  readonly #server: Server;
  readonly #keys: Map<string, PrivateKey>;
  /** How often its keys were asked for. */
  asked = 0;
  /** Whether it answers. */
  isUp = true;

  private constructor(server: Server, keys: Map<string, PrivateKey>) {
    this.#server = server;
    this.#keys = keys;
  }

  static async start(): Promise<Issuer> {
    const keys = new Map<string, PrivateKey>();
    const published: object[] = [];
    for (const alg of ["RS256", "ES256"] as Algorithm[]) {
      const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
      keys.set(alg, privateKey);
      published.push({ ...(await exportJWK(publicKey)), kid: alg, alg, use: "sig" });
    }
    const server = createServer((request, response) => {
      issuer.asked += 1;
      if (!issuer.isUp) return response.writeHead(500).end();
      if (request.url !== "/.well-known/jwks.json") return response.writeHead(404).end();
      return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ keys: published }));
    });
    const issuer = new Issuer(server, keys);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A good token, but for what is changed about it. */
  async token(claims: JWTPayload = { sub: "robot" }, change: { alg?: Algorithm; kid?: string; issuer?: string; audience?: string; expires?: number | null; key?: PrivateKey } = {}): Promise<string> {
    const { alg = "RS256", kid = alg, issuer = this.url, audience = "mobs", expires = Math.floor(Date.now() / 1000) + 600 } = change;
    const token = new SignJWT(claims).setProtectedHeader({ alg, kid }).setIssuer(issuer).setAudience(audience).setIssuedAt();
    if (expires !== null) token.setExpirationTime(expires);
    return await token.sign(change.key ?? this.#keys.get(alg)!);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.closeAllConnections();
      this.#server.close(() => resolve());
    });
  }
}
