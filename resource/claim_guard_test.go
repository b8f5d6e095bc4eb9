package resource_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
)

const claims = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims"

// Statuses of a claim: allocated on a node, and with news about its devices.
const (
	onNode1   = `"nodeSelector":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]}`
	given     = `"allocation":{"devices":{"results":[{"request":"r","driver":"d.example.com","pool":"p","device":"x"},{"request":"r","driver":"e.example.com","pool":"p","device":"y"}]},` + onNode1 + `}`
	reserved  = `"reservedFor":[{"resource":"pods","name":"p","uid":"u"}]`
	newsOfD   = `{"driver":"d.example.com","pool":"p","device":"x","data":{"a":"b"}}`
	newsOfE   = `{"driver":"e.example.com","pool":"p","device":"y","data":{"a":"b"}}`
	otherOfE  = `{"driver":"e.example.com","pool":"p","device":"y","data":{"a":"c"}}`
	bindClaim = "patch resourceclaims/binding  "
)

// TestClaimStatusTakesFurtherRights guards parties to a claim from each other: the right to write the status is neither that to allocate
// devices nor that to speak for every driver.
func TestClaimStatusTakesFurtherRights(t *testing.T) {
	refused := map[string]bool{} // rights that nobody has
	var asked []string
	var broken error
	c := start(t, func(_ *resource.Config, c *cluster) {
		c.chain.Deniers = []authz.Authorizer{decider(func(info api.RequestInfo) (authz.Decision, error) {
			if info.Subresource != "binding" && info.Subresource != "driver" {
				return authz.NoOpinion, nil
			}
			right := fmt.Sprintf("%s %s %s %s", info.Verb, info.ResourceWithSub(), info.Namespace, info.Name)
			asked = append(asked, right)
			if refused[right] {
				return authz.Deny, broken
			}
			return authz.NoOpinion, broken
		})}
	})
	node1 := api.User{Name: "system:serviceaccount:default:d", Extra: map[string][]string{"authentication.kubernetes.io/node-name": {"n1"}}}
	node2 := api.User{Name: node1.Name, Extra: map[string][]string{"authentication.kubernetes.io/node-name": {"n2"}}}
	impostor := api.User{Name: "d", Extra: node1.Extra}
	driver := func(verb, name string) string { return verb + ":patch resourceclaims/driver default " + name }
	any1, any2 := driver("arbitrary-node", "d.example.com"), driver("arbitrary-node", "e.example.com")
	near1 := driver("associated-node", "d.example.com")
	for _, tc := range []struct {
		name          string
		was, patch    string // members of the status
		user          api.User
		refused, asks []string
		causes        int
	}{
		{"allocate", "", given, alice, nil, []string{bindClaim}, 0},
		{"allocate without the right", "", given, alice, []string{bindClaim}, []string{bindClaim}, 1},
		{"reserve", given, reserved, alice, []string{bindClaim}, []string{bindClaim}, 1},
		{"take back", given + "," + reserved, `"allocation":null,"reservedFor":null`, alice, []string{bindClaim}, []string{bindClaim}, 1},
		{"say nothing new", given + `,"devices":[` + newsOfD + `]`, given, alice, nil, nil, 0},
		{"news", given, `"devices":[` + newsOfD + `]`, alice, nil, []string{any1}, 0},
		{"news of a driver one may not speak for", given, `"devices":[` + newsOfD + `]`, alice, []string{any1}, []string{any1}, 1},
		{"news of another driver are not asked about", given + `,"devices":[` + newsOfD + `]`, `"devices":[` + newsOfD + `,` + newsOfE + `]`, alice, []string{any1}, []string{any2}, 0},
		{"other news", given + `,"devices":[` + newsOfE + `]`, `"devices":[` + otherOfE + `]`, alice, []string{any2}, []string{any2}, 1},
		{"no news any more", given + `,"devices":[` + newsOfD + `,` + newsOfE + `]`, `"devices":[]`, alice, []string{any1, any2}, []string{any1, any2}, 2},
		{"on its node", given, `"devices":[` + newsOfD + `]`, node1, []string{any1}, []string{near1}, 0},
		{"on its node with the right for any", given, `"devices":[` + newsOfD + `]`, node1, []string{near1}, []string{near1, any1}, 0},
		{"on its node without a right", given, `"devices":[` + newsOfD + `]`, node1, []string{near1, any1}, []string{near1, any1}, 1},
		{"on another node", given, `"devices":[` + newsOfD + `]`, node2, []string{any1}, []string{any1}, 1},
		{"no account", given, `"devices":[` + newsOfD + `]`, impostor, []string{any1}, []string{any1}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			broken = nil
			clear(refused)
			c.must(t, "create", claims, `{"metadata":{"name":"c"},"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c"}}]}}}`)
			defer c.must(t, "delete", claims+"/c", "")
			c.must(t, "patch", claims+"/c/status", `{"status":{`+tc.was+`}}`)
			asked = nil
			for _, right := range tc.refused {
				refused[right] = true
			}
			err := c.patchAs(t, tc.user, claims+"/c/status", `{"status":{`+tc.patch+`}}`)
			if diff := cmp.Diff(tc.asks, asked); diff != "" {
				t.Errorf("rights asked for (-want +got):\n%s", diff)
			}
			if got := forbidden(err); len(got) != tc.causes {
				t.Errorf("refused for %q, want %d causes: %v", got, tc.causes, err)
			}
		})
	}
	t.Run("nobody decides", func(t *testing.T) {
		clear(refused)
		c.must(t, "create", claims, `{"metadata":{"name":"c"},"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c"}}]}}}`)
		broken = errors.New("the webhook is down: secret address")
		err := c.patchAs(t, alice, claims+"/c/status", `{"status":{`+given+`}}`)
		if got := forbidden(err); len(got) != 1 || strings.Contains(got[0], "secret") {
			t.Errorf("%v, want a refusal that tells nothing", err)
		}
	})
}

// patchAs is a merge patch of a user, as a dry run: that begins with what etcd has, and decides once.
func (c *cluster) patchAs(t *testing.T, user api.User, path, patch string) error {
	t.Helper()
	p, err := c.chain.Permit(t.Context(), user, target("patch", path))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Patch(t.Context(), p, resource.Body{ContentType: merge, Data: []byte(patch)}, resource.Write{Options: resource.WriteOptions{DryRun: true}})
	return err
}

// forbidden are the messages of the causes of a 422 that are refusals.
func forbidden(err error) []string {
	if err == nil {
		return nil
	}
	var messages []string
	for _, cause := range api.ToError(err).Status.Details.Causes {
		if strings.HasPrefix(cause.Message, "Forbidden: changing ") {
			messages = append(messages, cause.Message)
		}
	}
	return messages
}

// TestAdminAccessTakesALabel guards devices that are in use.
func TestAdminAccessTakesALabel(t *testing.T) {
	c := start(t)
	admin := `{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c"}},{"name":"s","exactly":{"deviceClassName":"c","adminAccess":true}}]}}`
	templates := strings.ReplaceAll(claims, "resourceclaims", "resourceclaimtemplates")
	c.must(t, "create", claims, `{"metadata":{"name":"c"},"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c"}}]}}}`)
	allocate := `{"status":{"allocation":{"devices":{"results":[{"request":"r","driver":"d.example.com","pool":"p","device":"x","adminAccess":true}]}}}}`
	requests := map[string]request{
		"claim":      {verb: "create", path: claims, body: `{"metadata":{"name":"a"},"spec":` + admin + `}`},
		"template":   {verb: "create", path: templates, body: `{"metadata":{"name":"a"},"spec":{"spec":` + admin + `}}`},
		"allocation": {verb: "patch", path: claims + "/c/status", contentType: merge, body: allocate},
	}
	for _, step := range []struct {
		label string // of the namespace
		code  int
	}{{"null", 422}, {`"false"`, 422}, {`"true"`, 0}} {
		c.must(t, "patch", "/api/v1/namespaces/default", `{"metadata":{"labels":{"resource.kubernetes.io/admin-access":`+step.label+`}}}`)
		for name, r := range requests {
			if _, err := c.do(t, r); code(err) != step.code {
				t.Errorf("%s with the label %s: %v, want %d", name, step.label, err, step.code)
			}
		}
	}
	// What has been given stays when the label is taken away.
	c.must(t, "patch", "/api/v1/namespaces/default", `{"metadata":{"labels":null}}`)
	c.must(t, "patch", claims+"/c/status", `{"status":{"reservedFor":[{"resource":"pods","name":"p","uid":"u"}]}}`)
}
