package diff

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// onList is the label of the objects that lists are compared on: other objects of the same kind may be there, and they may
// differ.
const onList = "listed"

// others makes objects on both servers, compares requests that need them to exist, and removes them.
func (b *batch) others(ctx context.Context) []Result {
	if !slices.Contains(b.kind.Verbs, "update") || slices.Contains(noObject(), b.kind.Name()) {
		return nil
	}
	var results []Result
	var items []string
	kube, ours := b.vars, b.vars
	for i, s := range b.listed() {
		made, item, k, o := b.make(ctx, s, string(rune('a'+i)))
		if results = append(results, made); item == "" {
			continue
		}
		defer b.remove(context.WithoutCancel(ctx), item)
		if items = append(items, item); len(items) == 1 {
			kube, ours = k, o
		}
	}
	if len(items) == 0 {
		return results
	}
	results = append(results, b.Pair.AskAll(ctx, b.asked(items[0]), kube, ours)...)
	results = append(results, b.pages(ctx, kube, ours)...)
	results = append(results, b.applies(ctx)...)
	return append(results, b.ends(ctx, items)...)
}

// asked are requests about an object that change nothing: about as many again as there are creates and updates.
func (b *batch) asked(item string) []Case {
	const watches = 50 // of so many requests one is a watch, as each takes a second
	group := func(c Case) string { return c.Behaviour }
	return slices.Concat(
		spread(b.random, b.reads(item), group, b.PerKind/5), spread(b.random, b.watches(), group, b.PerKind/watches),
		spread(b.random, b.deletes(item), group, b.PerKind/8), spread(b.random, b.subresources(item), group, b.PerKind/6),
		spread(b.random, b.patches(item), group, b.PerKind/4),
	)
}

// lasting is the object that lists, patches and applies are compared on: the richest that no loop inside of a server changes. What is aggregated
// into cluster roles, Gatehouse aggregates itself (D-46).
func (b *batch) lasting() map[string]any {
	if b.kind.Name() == "rbac.authorization.k8s.io/ClusterRole" {
		return b.seeds[0].Object
	}
	return b.rich()
}

// listed are the seeds that lists are compared on: the richest, again, and the plainest. Of what configures admission
// there is one, as a plain one concerns every request.
func (b *batch) listed() []map[string]any {
	if b.kind.Group == "admissionregistration.k8s.io" {
		return []map[string]any{b.rich()}
	}
	return []map[string]any{b.lasting(), b.lasting(), b.seeds[0].Object}
}

// make really makes an object, whose name ends with a suffix where its seed leaves the name to us. The item is empty if
// either server refuses.
func (b *batch) make(ctx context.Context, seed map[string]any, suffix string) (r Result, item string, kube, ours Vars) {
	object, _ := deepCopy(seed).(map[string]any)
	_ = path{"metadata", "labels", onList}.set(object, "${ns}")
	c := b.writing(http.MethodPost, b.kind.Collection("${ns}"), object)
	c.Behaviour, c.Name = "create: for real", "an object of a list, "+suffix
	vars := b.vars.With("name", b.vars["name"]+suffix)
	r = b.Pair.Ask(ctx, c, vars, vars)
	if r.Kube.Status != http.StatusCreated || r.Ours.Status != http.StatusCreated {
		return r, "", nil, nil
	}
	kube, name := identity(r.Kube, vars)
	ours, _ = identity(r.Ours, vars)
	kube, ours = withUID(kube, r.Kube), withUID(ours, r.Ours)
	return r, b.kind.Collection("${ns}") + "/" + name, kube.With("item", name), ours.With("item", name)
}

func withUID(vars Vars, a Answer) Vars {
	uid, _ := path{"metadata", "uid"}.get(a.Object)
	text, _ := uid.(string)
	return vars.With("uid", text)
}

// asking is a case with a method, a query and, unless it is empty, a body of JSON.
func (b *batch) asking(method, path, behaviour, name, body string) Case {
	header := http.Header{"Accept": {"application/json"}}
	if body != "" {
		header.Set("Content-Type", "application/json")
	}
	return Case{
		Source: Generated, Kind: b.kind.Name(), Behaviour: behaviour, Name: name,
		Request: Request{Method: method, Path: path, Header: header, Body: []byte(body)},
	}
}

// ends really deletes the objects, each in another way, and compares what becomes of them.
func (b *batch) ends(ctx context.Context, items []string) []Result {
	ways := []string{"?propagationPolicy=Foreground", "?propagationPolicy=Orphan", ""}
	var results []Result
	for i, item := range items {
		for _, c := range []Case{
			b.asking(http.MethodDelete, item+ways[i%len(ways)], "delete: for real", "delete"+ways[i%len(ways)], ""),
			b.asking(http.MethodGet, item, "delete: for real", "read after delete"+ways[i%len(ways)], ""),
			b.asking(http.MethodDelete, item, "delete: for real", "again after delete"+ways[i%len(ways)], ""),
		} {
			results = append(results, b.Pair.Ask(ctx, c, b.vars, b.vars))
		}
		// What waits for a controller is let go, so that nothing stays.
		free := b.asking(http.MethodPatch, item, "", "", `{"metadata":{"finalizers":null}}`).Request
		free.Header.Set("Content-Type", "application/merge-patch+json")
		b.Pair.Kube.Ask(ctx, free.Expand(b.vars))
		b.Pair.Ours.Ask(ctx, free.Expand(b.vars))
	}
	return results
}

// pages reads a list in pages of one object, whose tokens differ from server to server.
func (b *batch) pages(ctx context.Context, kube, ours Vars) []Result {
	list := b.kind.Collection("${ns}") + "?labelSelector=" + onList + "%3D${ns}"
	first := b.Pair.Ask(ctx, b.asking(http.MethodGet, list+"&limit=1", "list: pages", "first page", ""), kube, ours)
	kube, ours = withToken(kube, first.Kube), withToken(ours, first.Ours)
	next := list + "&limit=1&continue=${continue}"
	cases := []Case{b.asking(http.MethodGet, next, "list: pages", "second page", "")}
	for _, query := range []string{
		"&resourceVersion=0", "&resourceVersion=${rv}", "&resourceVersionMatch=NotOlderThan", "&resourceVersionMatch=Exact",
		"&resourceVersion=0&resourceVersionMatch=NotOlderThan", "&fieldSelector=metadata.name%3Dx", "&limit=0",
	} {
		cases = append(cases, b.asking(http.MethodGet, next+query, "list: pages", "second page with "+query, ""))
	}
	cases = append(cases, b.asking(http.MethodGet, strings.Replace(next, "limit=1", "limit=50", 1), "list: pages", "a longer second page", ""))
	return append([]Result{first}, b.Pair.AskAll(ctx, cases, kube, ours)...)
}

func withToken(vars Vars, a Answer) Vars {
	token, _ := path{"metadata", "continue"}.get(a.Object)
	text, _ := token.(string)
	more := maps.Clone(vars)
	more["continue"] = text
	return more
}
