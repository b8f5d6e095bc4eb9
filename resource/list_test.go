package resource_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
)

func selector(t testing.TB, s string) labels.Selector {
	t.Helper()
	l, err := api.ParseLabelSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func fieldSelector(t testing.TB, s string) fields.Selector {
	t.Helper()
	f, err := api.ParseFieldSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// fill creates n config maps m000..., every third of which has the label third=yes.
func fill(t testing.TB, c *cluster, n int) []string {
	t.Helper()
	var all []string
	for i := range n {
		name := fmt.Sprintf("m%03d", i)
		labels := ""
		if i%3 == 0 {
			labels = `,"labels":{"third":"yes"}`
		}
		c.must(t, "create", maps, `{"metadata":{"name":"`+name+`"`+labels+`}}`)
		all = append(all, name)
	}
	return all
}

// TestPages reads a list in pages while objects come and go, and expects the state of the first page.
func TestPages(t *testing.T) {
	c := start(t)
	all := fill(t, c, 20)
	for _, tc := range []struct {
		name, labels string
		want         []string
	}{{"all", "", all}, {"by label", "third=yes", []string{"m000", "m003", "m006", "m009", "m012", "m015", "m018"}}} {
		var got []string
		o := resource.ListOptions{Limit: 3, Labels: selector(t, tc.labels)}
		first := int64(0)
		for page := 0; ; page++ {
			l := c.list(t, maps, o)
			got = append(got, names(l)...)
			if first == 0 {
				first = l.Revision
			}
			if l.Revision != first {
				t.Errorf("%s: page %d is of revision %d, the first of %d", tc.name, page, l.Revision, first)
			}
			if known := l.Remaining != nil; l.Continue != "" && known != (tc.labels == "") {
				t.Errorf("%s: the rest is known: %v", tc.name, known)
			}
			if o.Continue = l.Continue; o.Continue == "" {
				break
			}
			c.must(t, "create", maps, fmt.Sprintf(`{"metadata":{"name":"m%03d-%d"}}`, 19-page, page))
			c.must(t, "delete", fmt.Sprintf("%s/m%03d-%d", maps, 19-page, page), "")
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: the pages hold (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestExpiredPage goes on after the state of the first page has been compacted.
func TestExpiredPage(t *testing.T) {
	c := start(t)
	fill(t, c, 6)
	l := c.list(t, maps, resource.ListOptions{Limit: 2})
	token := tokenOf(t, l.Revision-3, "m001") // no page is remembered for that revision
	last := c.list(t, maps, resource.ListOptions{}).Revision
	if _, err := c.client.Compact(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	_, err := c.List(t.Context(), c.permit(t, "list", maps), resource.ListOptions{Limit: 2, Continue: token})
	if code(err) != 410 {
		t.Fatalf("an expired page: %v, want 410", err)
	}
	o := resource.ListOptions{Continue: api.ToError(err).Status.Continue}
	if diff := cmp.Diff([]string{"m002", "m003", "m004", "m005"}, names(c.list(t, maps, o))); diff != "" {
		t.Errorf("the fresh token goes on with (-want +got):\n%s", diff)
	}
}

func tokenOf(t testing.TB, revision int64, last string) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"v": "meta.k8s.io/v1", "rv": revision, "start": "/" + last + "\x00"})
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// TestForgedTokens checks that a token cannot name what the request does not.
func TestForgedTokens(t *testing.T) {
	c := start(t)
	c.must(t, "create", maps, `{"metadata":{"name":"m"}}`)
	c.must(t, "create", "/api/v1/namespaces/default/secrets", `{"metadata":{"name":"s"}}`)
	c.must(t, "create", "/api/v1/namespaces/other/configmaps", `{"metadata":{"name":"o"}}`)
	now := c.list(t, maps, resource.ListOptions{}).Revision
	for name, token := range map[string]string{
		"not base64": "!!", "not JSON": "Z2FyYmFnZQ", "no revision": tokenOf(t, 0, "a"), "negative": tokenOf(t, -2, "a"),
		"dots": tokenOf(t, now, "../secrets/default/"), "double slash": tokenOf(t, now, "/registry/secrets/default/"),
		"too long": strings.Repeat("e", 5000), "absolute": base64.RawURLEncoding.EncodeToString([]byte(`{"v":"meta.k8s.io/v1","rv":1,"start":"registry"}`)),
		"version": base64.RawURLEncoding.EncodeToString([]byte(`{"v":"v2","rv":1,"start":"/a"}`)),
	} {
		l, err := c.List(t.Context(), c.permit(t, "list", maps), resource.ListOptions{Continue: token})
		if code(err) != 400 && (err != nil || len(l.Items) > 0 && l.Items[0].Name != "m") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, place := range []string{"", "\x00", "\xff", "a/../../secrets", "zz"} {
		l, err := c.List(t.Context(), c.permit(t, "list", maps), resource.ListOptions{Continue: tokenOf(t, -1, place)})
		if err != nil {
			continue
		}
		for _, i := range l.Items {
			if i.Name != "m" {
				t.Errorf("a token at %q shows %s", place, i.Key)
			}
		}
	}
}

func TestSelectors(t *testing.T) {
	c := start(t)
	c.must(t, "create", pods, `{"metadata":{"name":"a","labels":{"x":"1"}},"spec":{"nodeName":"n1","containers":[{"name":"c","image":"i"}]}}`)
	c.must(t, "create", pods, `{"metadata":{"name":"b","labels":{"x":"2"}},"spec":{"containers":[{"name":"c","image":"i"}]}}`)
	c.must(t, "create", "/api/v1/namespaces/other/pods", `{"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"i"}]}}`)
	for _, tc := range []struct {
		path, labels, fields string
		want                 []string
	}{
		{pods, "x", "", []string{"a", "b"}},
		{pods, "x in (1,3)", "", []string{"a"}},
		{pods, "!x", "", []string{}},
		{pods, "", "spec.nodeName=n1", []string{"a"}},
		{pods, "", "spec.nodeName!=n1", []string{"b"}},
		{pods, "", "spec.host=n1", []string{"a"}},
		{pods, "", "metadata.name=b", []string{"b"}},
		{pods, "x=1", "metadata.name=b", []string{}},
		{pods, "", "metadata.name=a,metadata.name=b", []string{}},
		{pods, "", "metadata.name=a,metadata.namespace=other", []string{}},
		{"/api/v1/pods", "", "metadata.name=a", []string{"a", "a"}},
		{"/api/v1/pods", "", "metadata.namespace=other", []string{"a"}},
		{"/api/v1/namespaces", "", "metadata.name=other", []string{"other"}},
		{"/api/v1/namespaces", "", "status.phase!=Active", []string{}},
	} {
		info := target("list", tc.path)
		info.Name, _ = api.NameFromFieldSelector(tc.fields)
		l, err := c.List(t.Context(), authz.System("test", info), resource.ListOptions{Labels: selector(t, tc.labels), Fields: fieldSelector(t, tc.fields)})
		if err != nil {
			t.Errorf("%+v: %v", tc, err)
			continue
		}
		if diff := cmp.Diff(tc.want, names(l)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tc, diff)
		}
	}
	for _, bad := range []string{"spec.bogus=1", "data.a=1"} {
		if _, err := c.List(t.Context(), c.permit(t, "list", pods), resource.ListOptions{Fields: fieldSelector(t, bad)}); code(err) != 400 {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestAuthorizedName checks that a selector cannot lead away from the name in the path, for which the request was authorized.
func TestAuthorizedName(t *testing.T) {
	c := start(t)
	fill(t, c, 3)
	info := target("list", maps+"/m001")
	l, err := c.List(t.Context(), authz.System("test", info), resource.ListOptions{Fields: fieldSelector(t, "metadata.name=m002")})
	if err != nil || len(l.Items) > 0 {
		t.Errorf("authorized for m001, got %v, %v", names(l), err)
	}
	if l, err = c.List(t.Context(), authz.System("test", info), resource.ListOptions{}); err != nil || !cmp.Equal(names(l), []string{"m001"}) {
		t.Errorf("authorized for m001, got %v, %v", names(l), err)
	}
	info = target("list", "/api/v1/configmaps/m001")
	if l, err = c.List(t.Context(), authz.System("test", info), resource.ListOptions{}); err != nil || !cmp.Equal(names(l), []string{"m001"}) {
		t.Errorf("authorized for m001 in all namespaces, got %v, %v", names(l), err)
	}
}

func TestRevisions(t *testing.T) {
	c := start(t)
	made := c.must(t, "create", maps, `{"metadata":{"name":"m"},"data":{"n":"1"}}`)
	version := at(t, made, "metadata.resourceVersion").(string)
	c.must(t, "patch", maps+"/m", `{"data":{"n":"2"}}`)
	for _, tc := range []struct {
		name string
		o    resource.ListOptions
		code int
		want string // of data.n
	}{
		{"latest", resource.ListOptions{}, 0, "2"},
		{"exactly then", resource.ListOptions{ResourceVersion: version, Match: "Exact"}, 0, "1"},
		{"legacy exact", resource.ListOptions{ResourceVersion: version, Limit: 5}, 0, "1"},
		{"not older", resource.ListOptions{ResourceVersion: version, Match: "NotOlderThan"}, 0, "2"},
		{"exactly zero", resource.ListOptions{ResourceVersion: "0", Match: "Exact"}, 422, ""},
		{"unknown match", resource.ListOptions{ResourceVersion: version, Match: "Like"}, 422, ""},
		{"match of nothing", resource.ListOptions{Match: "Exact"}, 422, ""},
		{"no number", resource.ListOptions{ResourceVersion: "x"}, 400, ""},
		{"negative", resource.ListOptions{ResourceVersion: "-1"}, 400, ""},
		{"over 63 bits, which is only too early", resource.ListOptions{ResourceVersion: "18446744073709551615"}, 504, ""},
		{"over 64 bits", resource.ListOptions{ResourceVersion: "18446744073709551616"}, 400, ""},
		{"a match of a page", resource.ListOptions{Match: "Exact", ResourceVersion: version, Continue: tokenOf(t, 1, "a")}, 422, ""},
		{"continue with revision", resource.ListOptions{ResourceVersion: version, Continue: tokenOf(t, 1, "a")}, 400, ""},
		{"initial events", resource.ListOptions{InitialEvents: new(bool)}, 422, ""},
	} {
		l, err := c.List(t.Context(), c.permit(t, "list", maps), tc.o)
		if code(err) != tc.code {
			t.Errorf("%s: %v, want %d", tc.name, err, tc.code)
		}
		if err == nil && at(t, string(l.Items[0].JSON), "data.n") != tc.want {
			t.Errorf("%s: %s", tc.name, l.Items[0].JSON)
		}
	}
	if _, err := c.do(t, request{verb: "get", path: maps + "/m", version: "x"}); code(err) != 400 {
		t.Errorf("get at x: %v", err)
	}
}

// TestBroken checks that what cannot be decoded is named and never passed over.
func TestBroken(t *testing.T) {
	c := start(t)
	c.must(t, "create", maps, `{"metadata":{"name":"good"}}`)
	if _, err := c.client.Put(t.Context(), "/registry/configmaps/default/bad", "k8s\x00garbage: a secret"); err != nil {
		t.Fatal(err)
	}
	_, listed := c.List(t.Context(), c.permit(t, "list", maps), resource.ListOptions{})
	_, got := c.do(t, request{verb: "get", path: maps + "/bad"})
	_, deleted := c.do(t, request{verb: "delete", path: maps + "/bad"})
	_, patched := c.do(t, request{verb: "patch", path: maps + "/bad", contentType: merge, body: `{}`})
	for verb, err := range map[string]error{"list": listed, "get": got, "delete": deleted, "patch": patched} {
		if code(err) != 500 || api.ToError(err).Status.Message != `configmaps "default/bad" cannot be read from storage` {
			t.Errorf("%s: %v", verb, err)
		}
	}
	c.must(t, "get", maps+"/good", "")
}
