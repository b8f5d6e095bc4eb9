package rbac

import "maps"

// ParseRule and ParseDefaults are the decoders of the embedded table.
var (
	ParseRule     = parseRule
	ParseDefaults = parseDefaults
)

// Trie is the trie with keys and values that are easy to write, and hashes that the test chooses.
type Trie struct{ t trie[string, int] }

// With is trie.with.
func (t Trie) With(hash uint64, key string, value int) Trie { return Trie{t.t.with(hash, key, value)} }

// Without is trie.without.
func (t Trie) Without(hash uint64, key string) Trie { return Trie{t.t.without(hash, key)} }

// Holds reports whether the trie has exactly the keys and values of want, all with the hash.
func (t Trie) Holds(hash uint64, want map[string]int, keys []string) bool {
	got := make(map[string]int)
	for _, k := range keys {
		if v, ok := t.t.get(hash, k); ok {
			got[k] = v
		}
	}
	return maps.Equal(got, want)
}
