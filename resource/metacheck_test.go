package resource_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

// TestMetadataCauses checks how often an answer names what is wrong with metadata: a label (L), a finalizer that is no name (Q) and
// one without a domain (P). The orders are kube-apiserver's for a write of all three.
func TestMetadataCauses(t *testing.T) {
	c := start(t)
	bad := `"labels":{"a b":"c"},"finalizers":["plain","a b/c"]`
	letters := strings.NewReplacer("metadata.labels", "L", "metadata.finalizers[0]", "P", "metadata.finalizers", "Q")
	for _, tc := range []struct{ path, fields, create, update, part, sub string }{
		{maps, "", "L Q P", "L Q L L P L Q P", "", ""},
		{"/api/v1/namespaces/default/limitranges", "", "L Q P", "L Q L L Q P", "", ""},
		{"/api/v1/namespaces/default/resourcequotas", "", "L Q P", "L Q L L P", "status", "L Q L L P"},
		{"/api/v1/namespaces/default/events", "", "L Q", "L Q L", "", ""},
		{"/api/v1/nodes", "", "L Q P", "L Q L L Q P L P", "status", "L Q L L P"},
		{"/api/v1/namespaces", "", "L Q P", "L Q L L Q P L P", "finalize", "L Q L L P"},
		{"/apis/coordination.k8s.io/v1/namespaces/default/leases", "", "L Q", "L Q L L", "", ""},
		{"/apis/certificates.k8s.io/v1/certificatesigningrequests", certificateRequest(t), "L Q P", "L Q L L Q P L P", "approval", "L Q L L Q P L P"},
		{"/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", minimal["FlowSchema"], "L Q P", "L Q L L Q P", "status", ""},
	} {
		causes := func(verb, path, metadata string) string {
			t.Helper()
			_, err := c.do(t, request{verb: verb, path: path, body: `{"metadata":{` + metadata + `}` + tc.fields + `}`})
			var refused *api.Error
			if err == nil || !errors.As(err, &refused) {
				return ""
			}
			var seen []string
			for _, cause := range refused.Status.Details.Causes {
				seen = append(seen, letters.Replace(cause.Field))
			}
			return strings.Join(seen, " ")
		}
		if got := causes("create", tc.path, `"name":"bad",`+bad); got != tc.create {
			t.Errorf("%s: create has the causes %s, want %s", tc.path, got, tc.create)
		}
		made := c.must(t, "create", tc.path, `{"metadata":{"name":"m"}`+tc.fields+`}`)
		meta := `"name":"m","resourceVersion":"` + at(t, made, "metadata.resourceVersion").(string) + `",` + bad
		if got := causes("update", tc.path+"/m", meta); got != tc.update {
			t.Errorf("%s: update has the causes %s, want %s", tc.path, got, tc.update)
		}
		if tc.part == "" {
			continue
		}
		// Finalizers are not written through a subresource here, so nothing is found wrong with them.
		want := strings.Join(strings.Fields(strings.NewReplacer("P", "", "Q", "").Replace(tc.sub)), " ")
		if got := causes("update", tc.path+"/m/"+tc.part, meta); got != want {
			t.Errorf("%s: %s has the causes %s, want %s", tc.path, tc.part, got, want)
		}
	}
}

// TestUpdateNamesItsObject checks what a PUT has to say about which object it replaces.
func TestUpdateNamesItsObject(t *testing.T) {
	c := start(t)
	c.must(t, "create", maps, `{"metadata":{"name":"m","generateName":"g-"}}`)
	for metadata, want := range map[string]string{
		`{}`:                               "the name of the object (m based on URL) was undeterminable: name must be provided",
		`{"name":"n"}`:                     "the name of the object (n) does not match the name on the URL (m)",
		`{"name":"m","namespace":"other"}`: "the namespace of the provided object does not match the namespace sent on the request",
	} {
		_, err := c.do(t, request{verb: "update", path: maps + "/m", body: `{"metadata":` + metadata + `}`})
		if code(err) != 400 || err.Error() != want {
			t.Errorf("%s: %v, want 400 %s", metadata, err, want)
		}
	}
	if got := c.must(t, "update", maps+"/m", `{"metadata":{"name":"m"}}`); at(t, got, "metadata.generateName") != nil {
		t.Errorf("an update without it kept generateName: %s", got)
	}
}

// TestOwnersOnce checks that an owner given twice is kept once and told of.
func TestOwnersOnce(t *testing.T) {
	c := start(t)
	owner := `{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u"}`
	w := &api.Warnings{}
	r, err := c.do(t, request{
		verb: "create", path: maps, write: resource.Write{Warnings: w},
		body: `{"metadata":{"name":"m","ownerReferences":[` + owner + `,` + owner + `]}}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if owners, _ := at(t, answer(t, r), "metadata.ownerReferences").([]any); len(owners) != 1 {
		t.Errorf("owners are %v", owners)
	}
	want := []string{".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such " +
		"requests as early as 1.24; please fix your requests; duplicate UID(s) observed: u"}
	if diff := cmp.Diff(want, w.List()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestLimitRangeNamesItself(t *testing.T) {
	c := start(t)
	got := c.must(t, "create", "/api/v1/namespaces/default/limitranges", `{"metadata":{}}`)
	if name, _ := at(t, got, "metadata.name").(string); len(name) != 36 {
		t.Errorf("a limit range without a name became %s", got)
	}
	if _, err := c.do(t, request{verb: "create", path: maps, body: `{"metadata":{}}`}); code(err) != 422 {
		t.Errorf("a config map without a name: %v, want 422", err)
	}
}
