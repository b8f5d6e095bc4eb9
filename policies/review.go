package policies

import (
	"cmp"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
)

// Review is what validate and mutate policies see of a request, as input. Objects are never changed.
type Review struct {
	// Operation is CREATE, UPDATE, DELETE or CONNECT.
	Operation string
	// Group, Version and Kind of the object; Resource and Subresource of the request.
	Group, Version, Kind, Resource, Subresource string
	// Namespace is empty for cluster-scoped objects, and the name of the object where it is a namespace. Name may be empty on
	// CREATE.
	Namespace, Name string
	User            api.User
	// Object is nil on DELETE, OldObject on CREATE. Both are decoded JSON, a map[string]any whose numbers are int64 or float64, or a
	// pointer to a struct of k8s.io/api.
	Object, OldObject any
	// NamespaceLabels are those of Namespace; nil means that they are not known.
	NamespaceLabels map[string]string
	DryRun          bool
}

func (r *Review) key() key { return key{r.Operation, r.Group, r.Kind, r.Subresource} }

func (r *Review) groupVersionKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
}

// scope is the namespace to match policies by, with its labels. A namespace under review counts as in itself, with the labels
// that are stored: whoever may update it cannot exempt the very update by the labels it sets.
func (r *Review) scope() (namespace string, labels map[string]string) {
	if r.Group != "" || r.Kind != "Namespace" {
		return r.Namespace, r.NamespaceLabels
	}
	o := r.OldObject
	if o == nil {
		o = r.Object
	}
	name, labels := identity(o)
	return cmp.Or(r.Name, name), labels
}

// identity is the name and the labels of an object.
func identity(object any) (name string, labels map[string]string) {
	if o, err := meta.Accessor(object); err == nil {
		return o.GetName(), orEmptyLabels(o.GetLabels())
	}
	m, _ := object.(map[string]any)
	u := unstructured.Unstructured{Object: m}
	return u.GetName(), orEmptyLabels(u.GetLabels())
}

func orEmptyLabels(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// pairs are the fields of an input document, in the form that ast.NewObject takes.
type pairs [][2]*ast.Term

func (p *pairs) add(key string, value ast.Value) {
	*p = append(*p, [2]*ast.Term{ast.InternedTerm(key), ast.NewTerm(value)})
}

// with returns the document that has the parameters too. The receiver can be shared.
func (p pairs) with(parameters *ast.Term) ast.Value {
	all := make(pairs, len(p), len(p)+1)
	copy(all, p)
	return ast.NewObject(append(all, [2]*ast.Term{ast.InternedTerm("parameters"), parameters})...)
}

// input builds the part of the input that all policies share; each adds its parameters.
func (r *Review) input(vs *values) (pairs, error) {
	p := make(pairs, 0, 12)
	p.add("operation", ast.String(r.Operation))
	p.add("kind", object("group", r.Group, "version", r.Version, "kind", r.Kind))
	p.add("resource", ast.String(r.Resource))
	p.add("subresource", ast.String(r.Subresource))
	p.add("namespace", ast.String(r.Namespace))
	p.add("name", ast.String(r.Name))
	p.add("dryRun", ast.Boolean(r.DryRun))
	for _, o := range []struct {
		name   string
		object any
	}{{"object", r.Object}, {"oldObject", r.OldObject}} {
		v, err := vs.object(o.object, r.groupVersionKind())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		p.add(o.name, v)
	}
	p.add("user", userValue(r.User))
	p.add("namespaceLabels", labelsValue(r.NamespaceLabels))
	return p, nil
}

// requestInput builds the input of authorize policies.
func requestInput(user api.User, info api.RequestInfo) pairs {
	p := make(pairs, 0, 3)
	p.add("user", userValue(user))
	request := make(pairs, 0, 9)
	request.add("verb", ast.String(info.Verb))
	request.add("group", ast.String(info.Group))
	request.add("version", ast.String(info.Version))
	request.add("resource", ast.String(info.Resource))
	request.add("subresource", ast.String(info.Subresource))
	request.add("namespace", ast.String(info.Namespace))
	request.add("name", ast.String(info.Name))
	request.add("path", ast.String(info.Path))
	request.add("isResource", ast.Boolean(info.IsResource))
	p.add("request", ast.NewObject(request...))
	return p
}

func object(keysAndValues ...string) ast.Value {
	p := make(pairs, 0, len(keysAndValues)/2)
	for i := 0; i < len(keysAndValues); i += 2 {
		p.add(keysAndValues[i], ast.String(keysAndValues[i+1]))
	}
	return ast.NewObject(p...)
}

func userValue(u api.User) ast.Value {
	groups := make([]*ast.Term, len(u.Groups))
	for i, g := range u.Groups {
		groups[i] = ast.InternedTerm(g)
	}
	extra := make(pairs, 0, len(u.Extra))
	for key, list := range u.Extra {
		values := make([]*ast.Term, len(list))
		for i, v := range list {
			values[i] = ast.StringTerm(v)
		}
		extra.add(key, ast.NewArray(values...))
	}
	p := make(pairs, 0, 4)
	p.add("name", ast.String(u.Name))
	p.add("uid", ast.String(u.UID))
	p.add("groups", ast.NewArray(groups...))
	p.add("extra", ast.NewObject(extra...))
	return ast.NewObject(p...)
}

// labelsValue keeps nil from becoming an empty object: a policy can tell what is not known.
func labelsValue(m map[string]string) ast.Value {
	if m == nil {
		return ast.NullValue
	}
	p := make(pairs, 0, len(m))
	for key, v := range m {
		p.add(key, ast.String(v))
	}
	return ast.NewObject(p...)
}
