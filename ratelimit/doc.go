// Package ratelimit bounds the work that the server takes on, in two places.
//
// [Peers] stands before authentication and knows only the address of the peer. It keeps one address from using
// up the server with handshakes and bad credentials, in a table of fixed size.
//
// [Clients] stands after authentication and knows who asks. It gives each client a budget of units per second,
// from which a LIST pays by the bytes it returned, and a share of the seats that bound how much is executed at
// once. Who finds no seat waits in a short queue; the queues of different clients are served in turn. How many
// long-running requests are open is bounded apart from that, for each client and for all.
//
// What is refused is refused with 429 and the number of seconds after which to come back, never by silence. A
// zero configuration is a working, strict one; limits are switched off only by the fields named Disable.
//
// Limits: budgets are per process, not shared between servers. Bytes of watches and of upgraded connections
// are not counted; a long-running request gives its seat back once it has started.
package ratelimit
