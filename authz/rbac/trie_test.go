package rbac_test

import (
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/gatehouse/gatehouse/authz/rbac"
)

// TestTrieVersionsAreIndependent makes every key collide and checks that each version keeps what it had when
// later ones are made from it.
func TestTrieVersionsAreIndependent(t *testing.T) {
	type version struct {
		trie rbac.Trie
		want map[string]int
	}
	const hash = 0xabcdef
	keys := []string{"a", "b", "c", "d", "e"}
	rnd := rand.New(rand.NewPCG(1, 2))
	versions := []version{{want: map[string]int{}}}
	for i := range 500 {
		v := versions[rnd.IntN(len(versions))]
		key, want := keys[rnd.IntN(len(keys))], maps.Clone(v.want)
		next := version{want: want}
		if rnd.IntN(3) == 0 {
			delete(want, key)
			next.trie = v.trie.Without(hash, key)
		} else {
			want[key] = i
			next.trie = v.trie.With(hash, key, i)
		}
		versions = append(versions, next)
	}
	for i, v := range versions {
		if !v.trie.Holds(hash, v.want, keys) {
			t.Fatalf("version %d no longer holds %v", i, v.want)
		}
		if !v.trie.Holds(hash+1, map[string]int{}, keys) {
			t.Fatalf("version %d finds keys under another hash", i)
		}
	}
}
