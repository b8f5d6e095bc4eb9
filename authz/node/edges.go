package node

import (
	"hash/maphash"
	"sync"
)

// An edge says that a node has to do with an object.
type edge struct {
	object
	node string
}

// object names an object of the graph.
type object struct {
	kind            kind
	namespace, name string
}

// kind is the kind of an object of the graph.
type kind uint8

const (
	pods kind = iota
	secrets
	configMaps
	claims // persistent volume claims
	volumes
	resourceClaims
	serviceAccounts
	attachments
	resourceSlices
)

// shards is how many locks the edges are spread over. A decision holds one of them for one map lookup, a change for one map
// update: with so many of both that they meet is rare, and short where it happens.
const shards = 256

// edges is a set of edges that are counted: one that was added twice is there until it has been removed twice. Readers and
// writers may be concurrent. The hash is seeded, so that nobody can choose names that meet in one shard.
type edges struct {
	seed maphash.Seed
	part [shards]struct {
		mu    sync.RWMutex // guards count
		count map[edge]int32
		_     [32]byte // keeps two locks off one cache line
	}
}

func newEdges() *edges {
	e := &edges{seed: maphash.MakeSeed()}
	for i := range e.part {
		e.part[i].count = map[edge]int32{}
	}
	return e
}

func (s *edges) has(e edge) bool {
	p := &s.part[maphash.Comparable(s.seed, e)%shards]
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.count[e] > 0
}

// add counts the edge n times more, or less, and returns how often it counts now.
func (s *edges) add(e edge, n int32) int32 {
	p := &s.part[maphash.Comparable(s.seed, e)%shards]
	p.mu.Lock()
	defer p.mu.Unlock()
	count := p.count[e] + n
	if count > 0 {
		p.count[e] = count
	} else {
		delete(p.count, e)
	}
	return count
}

// len is how many edges there are.
func (s *edges) len() (n int) {
	for i := range s.part {
		p := &s.part[i]
		p.mu.RLock()
		n += len(p.count)
		p.mu.RUnlock()
	}
	return n
}
