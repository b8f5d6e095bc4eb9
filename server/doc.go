// Package server is the front door: it terminates TLS, bounds what a connection and a request may
// cost, takes every request through the stages in their one order, and writes the answer.
//
// The order is in pipeline.go and nowhere else: recover, parse, limit the peer, authenticate, begin the
// audit record, impersonate, limit the client, authorize, handle, finish the audit record. A stage that
// refuses ends the request; no later stage sees it. Every refusal is an *api.Error rendered by one function.
//
// The package decides nothing about users or objects: authentication, authorization, limits, the audit
// log and the resources are handed in by [Config]. What it serves itself are the paths that are
// not resources: health, version, metrics, discovery, OpenAPI and the issuer's documents. Those that do not
// change are built once, by [New].
//
// What it does not do: it does not speak plain HTTP, does not upgrade connections, and does not
// trust any header about where a request came from.
package server
