package diff

import (
	"context"
	"fmt"
	"net/http"
)

// makeNamespace makes a namespace on both servers.
func (p *Pair) makeNamespace(ctx context.Context, name string) error {
	r := Request{
		Method: http.MethodPost,
		Path:   "/api/v1/namespaces",
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, name),
	}
	for _, t := range []*Target{p.Kube, p.Ours} {
		if a := t.Ask(ctx, r); a.Status != http.StatusCreated && a.Status != http.StatusConflict {
			return fmt.Errorf("make namespace %s on %s: %s", name, t.Name, outcome(a))
		}
	}
	return nil
}

// dropNamespace deletes a namespace and ends it, which is the work of a controller that does not run here. Objects in it stay
// in etcd; nothing looks at them again.
func (p *Pair) dropNamespace(ctx context.Context, name string) {
	end := Request{
		Method: http.MethodPut,
		Path:   "/api/v1/namespaces/" + name + "/finalize",
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q},"spec":{"finalizers":[]}}`, name),
	}
	for _, t := range []*Target{p.Kube, p.Ours} {
		t.Ask(ctx, Request{Method: http.MethodDelete, Path: "/api/v1/namespaces/" + name})
		t.Ask(ctx, end)
	}
}

// MakeNamespaces makes namespaces on both servers.
func (p *Pair) MakeNamespaces(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := p.makeNamespace(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// DropNamespaces removes namespaces that MakeNamespaces made.
func (p *Pair) DropNamespaces(ctx context.Context, names ...string) {
	for _, name := range names {
		p.dropNamespace(ctx, name)
	}
}
