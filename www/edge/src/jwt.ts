// Bearer tokens that an identity provider has signed (RFC 7519), checked against its keys (RFC 7517).

import { createLocalJWKSet, createRemoteJWKSet, errors, jwtVerify, type JSONWebKeySet, type JWTPayload, type JWTVerifyGetKey } from "jose";
import { bearerToken, type Authorize, type Refusal } from "./gate.js";

/** Whose tokens are good. */
export interface JwtOptions {
  /** The `iss` of the tokens. */
  issuer: string;
  /** The `aud` of the tokens. */
  audience: string;
  /** Where the issuer's keys are, or the keys. Default: `{issuer}/.well-known/jwks.json`. */
  jwks?: string | URL | JSONWebKeySet;
  /** Default: RS256 and ES256. */
  algorithms?: ("RS256" | "ES256" | "EdDSA" | "PS256")[];
  /** A secret shared with the issuer (HS256), for development: only for issuers on this very machine. */
  developmentSecret?: string;
  /** Seconds that clocks may differ. Default: 30. */
  clockTolerance?: number;
  /** Who may come in, by a verified `email`. With `subjects` and `allow`: whoever one of them lets in. Without any: every good token. */
  emails?: readonly string[];
  /** Who may come in, by `sub`. */
  subjects?: readonly string[];
  /** Who may come in, by what the token claims. */
  allow?: (claims: JWTPayload) => boolean;
}

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

/**
 * Lets in whoever has a good token. Reasons to refuse: `missing_credentials`, `invalid_token`, `expired_token`, `not_allowed` (403),
 * `keys_unavailable` (503).
 */
export function jwtAuthorizer(options: JwtOptions): Authorize {
  const { issuer, audience, clockTolerance = 30 } = options;
  const secret = options.developmentSecret === undefined ? undefined : new TextEncoder().encode(options.developmentSecret);
  if (secret && !LOOPBACK.has(new URL(issuer).hostname)) throw new TypeError(`developmentSecret is for issuers on this machine, not for ${issuer}`);
  const algorithms = secret ? ["HS256"] : options.algorithms ?? ["RS256", "ES256"];
  // Made with the first request: an edge runtime allows no I/O before.
  let keys: JWTVerifyGetKey | undefined;
  return async (request) => {
    const token = bearerToken(request);
    if (token === undefined) return { reason: "missing_credentials", message: "a bearer token is needed" };
    const checks = { issuer, audience, algorithms, clockTolerance, requiredClaims: ["exp"] };
    let claims: JWTPayload;
    try {
      claims = (secret ? await jwtVerify(token, secret, checks) : await jwtVerify(token, keys ??= keySet(options), checks)).payload;
    } catch (error) {
      return refusal(error);
    }
    if (!mayCome(claims, options)) return { status: 403, reason: "not_allowed", message: "the token is good, but it lets nobody in here" };
    return claims.sub === undefined ? {} : { subject: claims.sub };
  };
}

function keySet({ issuer, jwks }: JwtOptions): JWTVerifyGetKey {
  if (typeof jwks === "object" && "keys" in jwks) return createLocalJWKSet(jwks);
  return createRemoteJWKSet(new URL(jwks ?? `${issuer.replace(/\/$/, "")}/.well-known/jwks.json`));
}

function mayCome(claims: JWTPayload, { emails, subjects, allow }: JwtOptions): boolean {
  if (!emails && !subjects && !allow) return true;
  const email = claims.email_verified === true && typeof claims.email === "string" ? claims.email.toLowerCase() : undefined;
  return (email !== undefined && emails?.some((known) => known.toLowerCase() === email) === true)
    || (claims.sub !== undefined && subjects?.includes(claims.sub) === true)
    || allow?.(claims) === true;
}

function refusal(error: unknown): Refusal {
  if (error instanceof errors.JWTExpired) return { reason: "expired_token", message: "the token has expired" };
  const isAboutKeys = error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid || !(error instanceof errors.JOSEError)
    || error.code === "ERR_JOSE_GENERIC";
  if (isAboutKeys) {
    console.error("mobkit-web: the issuer's keys cannot be had", error);
    return { status: 503, reason: "keys_unavailable", message: "the issuer's keys cannot be had now" };
  }
  return { reason: "invalid_token", message: `the token is not good: ${error.message}` };
}
