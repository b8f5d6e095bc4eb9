package diff

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
)

// validSeed is the behaviour of creating a seed as it is.
const validSeed = "create: valid"

// BadSeeds returns the results in which the reference refuses a seed, or the status made of it: those seeds test nothing.
func (r Report) BadSeeds() []Result {
	var bad []Result
	for _, result := range r.Results {
		valid := result.Source == Generated && (result.Behaviour == validSeed || strings.HasSuffix(result.Behaviour, ": unchanged"))
		if valid && result.Kube.Status >= http.StatusBadRequest {
			bad = append(bad, result)
		}
	}
	return bad
}

// Generator makes requests about kinds out of their seeds and schemas.
type Generator struct {
	Pair  *Pair
	Seeds []Seed
	// PerKind is about how many requests are made for one kind.
	PerKind int
	// Seed makes another choice of requests; the same seed makes the same.
	Seed uint64
	// Run is part of every name, so that runs do not meet. It consists of lower-case letters and digits.
	Run string
}

// Kind compares one kind. Objects of it are made and removed on both servers.
func (g *Generator) Kind(ctx context.Context, k Kind) ([]Result, error) {
	var seeds []Seed
	for _, s := range g.Seeds {
		if s.GroupVersionKind == k.GroupVersionKind {
			seeds = append(seeds, s)
		}
	}
	if len(seeds) == 0 {
		return nil, nil
	}
	schema, err := k.Schema(ctx, g.Pair.Kube)
	if err != nil {
		return nil, err
	}
	b := &batch{
		Generator: g, kind: k, schema: schema, seeds: seeds,
		vars:   Vars{"ns": strings.ToLower("d" + g.Run + "-" + k.Kind), "name": "d" + g.Run},
		random: rand.New(rand.NewPCG(g.Seed, hash(k.String()))),
	}
	if k.Namespaced {
		if err := g.Pair.makeNamespace(ctx, b.vars["ns"]); err != nil {
			return nil, err
		}
		defer g.Pair.dropNamespace(context.WithoutCancel(ctx), b.vars["ns"])
	}
	results := g.Pair.AskAll(ctx, b.creates(), b.vars, b.vars)
	results = append(results, b.changes(ctx)...)
	return append(results, b.others(ctx)...), nil
}

func hash(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64()
}

// batch is the requests about one kind.
type batch struct {
	*Generator
	kind   Kind
	schema *Schema
	seeds  []Seed
	vars   Vars
	random *rand.Rand
}

// rich is the seed with the most fields, which is the last.
func (b *batch) rich() map[string]any { return b.seeds[len(b.seeds)-1].Object }

// Of the requests about a kind, half are creates; of the rest a third goes to the status if there is one.
func (b *batch) creates() []Case {
	collection := b.kind.Collection("${ns}") + "?dryRun=All"
	var cases []Case
	for i, s := range b.seeds {
		for _, validation := range []string{"", "&fieldValidation=Strict"} {
			c := b.writing(http.MethodPost, collection+validation, s.Object)
			c.Behaviour, c.Name = validSeed, fmt.Sprintf("seed %d%s", i, validation)
			cases = append(cases, c)
		}
	}
	for _, m := range b.choose(mutationsOf(places(b.schema, b.rich(), nil)), b.PerKind/2-len(cases)) {
		if object, ok := m.Apply(b.rich()); ok {
			c := b.writing(http.MethodPost, collection, object)
			c.Behaviour, c.Name = "create: "+m.Behaviour, m.Name
			cases = append(cases, c)
		}
	}
	return cases
}

func (b *batch) writing(method, path string, object map[string]any) Case {
	body, err := json.Marshal(object)
	if err != nil {
		body = []byte(err.Error())
	}
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	return Case{Source: Generated, Kind: b.kind.Name(), Request: Request{Method: method, Path: path, Header: header, Body: body}}
}

func mutationsOf(all []place) []Mutation {
	var out []Mutation
	for _, p := range all {
		for _, m := range mutations(p) {
			if p.value == nil {
				m.Behaviour += " (absent field)"
			}
			out = append(out, m)
		}
	}
	return out
}

// choose takes about as many from each behaviour.
func (b *batch) choose(all []Mutation, limit int) []Mutation {
	return spread(b.random, all, func(m Mutation) string { return m.Behaviour }, limit)
}

// spread takes about as many of each group, in an order that depends on the seed only.
func spread[T any](random *rand.Rand, all []T, groupOf func(T) string, limit int) []T {
	groups := map[string][]T{}
	for _, one := range all {
		groups[groupOf(one)] = append(groups[groupOf(one)], one)
	}
	names := slices.Sorted(maps.Keys(groups))
	for _, name := range names {
		group := groups[name]
		random.Shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
	}
	var chosen []T
	for round := 0; len(chosen) < limit && len(chosen) < len(all); round++ {
		for _, name := range names {
			if round < len(groups[name]) && len(chosen) < limit {
				chosen = append(chosen, groups[name][round])
			}
		}
	}
	return chosen
}
