package rbac

import (
	"hash/maphash"
	"slices"
)

// fan is the number of children of each of the two levels of a trie.
const fan = 256

// A trie is an immutable hash map with cheap modified copies: two levels of 256 children, then a short bucket.
// Readers hold one version and need no lock; a writer makes the next version by copying only the path to the
// entry it touches.
//
// Rejected: one Go map copied per change (an update of one of 100,000 bindings would copy them all), sync.Map
// (boxes its keys, so each lookup allocates, and has no consistent versions), and a trie of growing depth
// (more code; the fixed depth gives 65,536 buckets, so a bucket stays below 20 entries up to a million keys).
//
// Cost: a lookup is one hash, two indexed loads and a scan of the bucket; a change copies two arrays of 256
// pointers (4 KiB) and the bucket. The hash is seeded per index, so nobody can choose names that share a
// bucket.
type trie[K comparable, V any] struct {
	root *[fan]*node[K, V]
}

type node[K comparable, V any] [fan][]entry[K, V]

type entry[K comparable, V any] struct {
	key   K
	value V
}

func slots(hash uint64) (first, second int) {
	return int(hash % fan), int(hash / fan % fan)
}

// get returns the value of key, whose hash the caller has computed.
func (t trie[K, V]) get(hash uint64, key K) (value V, ok bool) {
	if t.root == nil {
		return value, false
	}
	first, second := slots(hash)
	if t.root[first] == nil {
		return value, false
	}
	bucket := t.root[first][second]
	for i := range bucket {
		if bucket[i].key == key {
			return bucket[i].value, true
		}
	}
	return value, false
}

// with returns the version of t in which key has the value. t is unchanged.
func (t trie[K, V]) with(hash uint64, key K, value V) trie[K, V] {
	t = t.fork(hash)
	t.set(hash, key, value)
	return t
}

// without returns the version of t that lacks key. t is unchanged.
func (t trie[K, V]) without(hash uint64, key K) trie[K, V] {
	if _, ok := t.get(hash, key); !ok {
		return t
	}
	t = t.fork(hash)
	first, second := slots(hash)
	bucket := &t.root[first][second]
	*bucket = slices.DeleteFunc(*bucket, func(e entry[K, V]) bool { return e.key == key })
	return t
}

// fork copies the path of hash, so that it can be changed in place.
func (t trie[K, V]) fork(hash uint64) trie[K, V] {
	first, second := slots(hash)
	root, child := new([fan]*node[K, V]), new(node[K, V])
	if t.root != nil {
		*root = *t.root
	}
	if root[first] != nil {
		*child = *root[first]
	}
	child[second] = slices.Clone(child[second])
	root[first] = child
	return trie[K, V]{root}
}

// set changes t in place. It is for a trie that no reader has seen yet.
func (t *trie[K, V]) set(hash uint64, key K, value V) {
	if t.root == nil {
		t.root = new([fan]*node[K, V])
	}
	first, second := slots(hash)
	if t.root[first] == nil {
		t.root[first] = new(node[K, V])
	}
	bucket := &t.root[first][second]
	for i := range *bucket {
		if (*bucket)[i].key == key {
			(*bucket)[i].value = value
			return
		}
	}
	*bucket = append(*bucket, entry[K, V]{key, value})
}

func hashOf[K comparable](seed maphash.Seed, key K) uint64 { return maphash.Comparable(seed, key) }
