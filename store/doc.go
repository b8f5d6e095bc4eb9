// Package store keeps revisioned values in etcd and serves reads from a cache of encoded bytes.
//
// Writes are optimistic transactions on single keys: they succeed only against the revision the
// caller has seen, and are durable when they return. Revisions are those of etcd: one
// counter for the whole store, rising with each write.
//
// Reads come from a [Mirror], which follows the registry with one etcd watch and keeps, per
// resource, a [Cache] of immutable [Item] values ordered by key. [Mirror.Fresh] makes a read linearizable: one
// revision check serves every reader that arrived before it was sent.
//
// What is lost on the way is said: a watcher whose place is gone gets [ErrCompacted], and the caches are loaded again when etcd has
// compacted what they missed or was restored from a backup. A [Compactor] makes etcd forget old revisions, in turns with the other API
// servers that share it.
//
// The package knows nothing of Kubernetes kinds; a [Codec] given per cache turns stored bytes into items.
package store

import "errors"

// Errors that the outcome of an operation is matched by.
var (
	// ErrExists: the key to be created exists.
	ErrExists = errors.New("key exists")
	// ErrConflict: the key is not at the expected revision, or does not exist.
	ErrConflict = errors.New("revision conflict")
	// ErrStale: a key that the write relies on has changed since it was seen.
	ErrStale = errors.New("what was seen has changed")
	// ErrCompacted: the revision asked for has been compacted away or has left the cache.
	ErrCompacted = errors.New("revision is too old")
	// ErrFuture: the revision asked for has not been reached within the wait.
	ErrFuture = errors.New("revision is in the future")
	// ErrTooLarge: the value is over etcd's request limit.
	ErrTooLarge = errors.New("value is too large")
	// ErrNoSpace: etcd refuses writes because its quota is used up.
	ErrNoSpace = errors.New("etcd has no space left")
)
