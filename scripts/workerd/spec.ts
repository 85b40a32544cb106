/** What one workerd process runs, as data: asserted by tests, printed as Cap'n Proto text by `capnp.ts`. */

export type Usage = "sign" | "verify";

/** Text in the configuration, or a file below its directory whose content workerd reads at start. */
export type Content = { readonly embed: string } | { readonly literal: string };

export type BindingSpec = { readonly name: string } & (
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "text"; readonly content: Content }
  /** A secret: only the variable's name is in the configuration. */
  | { readonly kind: "environment"; readonly variable: string }
  | { readonly kind: "hmac"; readonly embed: string; readonly usages: readonly Usage[] }
  | {
      readonly kind: "p256" | "ed25519" | "ml-dsa-44";
      readonly embed: string;
      readonly usages: readonly Usage[];
    }
  | { readonly kind: "service"; readonly service: string; readonly entrypoint?: string }
  | { readonly kind: "namespace"; readonly className: string }
);

export type ModuleSpec = {
  /** As the bundle imports it: `main.js`. */
  readonly name: string;
  readonly kind: "esm" | "wasm";
  readonly embed: string;
};

export type WorkerSpec = {
  readonly kind: "worker";
  readonly name: string;
  readonly modules: readonly ModuleSpec[];
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
  readonly bindings: readonly BindingSpec[];
  /** Where a bare fetch() goes: always named, so that workerd's default, the internet, never applies. */
  readonly globalOutbound: string;
  readonly namespaces: readonly { readonly className: string; readonly uniqueKey: string }[];
  /** The disk that holds the objects; absent when there are none. */
  readonly storage?: string;
};

/** `rpc` is Cap'n Proto over HTTP CONNECT, between processes of one node. */
export type Transport =
  | { readonly kind: "http" }
  | { readonly kind: "https"; readonly certificateHost: string }
  | { readonly kind: "tcp" }
  | { readonly kind: "rpc" };

export type ServiceSpec =
  | WorkerSpec
  | {
      readonly kind: "external";
      readonly name: string;
      readonly address: string;
      readonly transport: Transport;
    }
  | { readonly kind: "network"; readonly name: string; readonly allow: readonly string[] }
  | { readonly kind: "disk"; readonly name: string; readonly path: string; readonly writable: boolean };

export type SocketSpec = {
  readonly name: string;
  /** Which address the supervisor listens on for it: workerd itself gets a descriptor. */
  readonly listen: { readonly kind: "agents" | "console" } | { readonly kind: "unix"; readonly path: string };
  readonly service: string;
  readonly entrypoint: string;
  readonly transport: "http" | "rpc";
};

export type InstanceSpec = {
  /** `single`, `recorder`, `front-0`, … */
  readonly name: string;
  readonly services: readonly ServiceSpec[];
  readonly sockets: readonly SocketSpec[];
};
