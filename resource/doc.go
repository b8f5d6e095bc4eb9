// Package resource carries out the Kubernetes verbs on objects.
//
// A [Table] describes what is served, one [Type] per resource; [Builtin] is the table of Kubernetes 1.36. A [Service]
// answers the verbs for every type in it. Each verb takes an [authz.Permit] and acts on the request that the permit was given for.
//
// Reads are spliced from bytes that package store caches. Writes are decoded strictly, pass admission, get what the server
// decides (names, uids, times, generations), are validated, and are committed against the revision they were
// computed from; when another write came first they are computed again.
//
// Limits: bodies of 3 MiB, 1000 levels of nesting, 10,000 operations in a JSON patch, 1 MiB of data in a Secret or
// ConfigMap. The complete defaults and field rules of each kind, server-side apply and custom resources are not here yet.
package resource
