package authz_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// An answer is an authorizer that always says the same.
type answer struct {
	decision authz.Decision
	reason   string
	err      error
}

func (a answer) Authorize(context.Context, api.User, api.RequestInfo) (authz.Decision, string, error) {
	return a.decision, a.reason, a.err
}

var (
	errBroken = errors.New("broken")

	allow   = answer{authz.Allow, "yes", nil}
	deny    = answer{authz.Deny, "no", nil}
	silent  = answer{authz.NoOpinion, "", nil}
	shrug   = answer{authz.NoOpinion, "nothing known", nil}
	broken  = answer{authz.NoOpinion, "", errBroken}
	lenient = answer{authz.Allow, "yes, though", errBroken}

	jane   = api.User{Name: "jane", Groups: []string{api.GroupAuthenticated}}
	root   = api.User{Name: "root", Groups: []string{api.GroupMasters}}
	ghost  = api.User{Groups: []string{api.GroupMasters}}
	nobody = api.User{}

	getPod = api.RequestInfo{IsResource: true, Verb: "get", Version: "v1", Namespace: "dev", Resource: "pods", Subresource: "log", Name: "p"}
)

func TestChain(t *testing.T) {
	type list = []authz.Authorizer
	tests := []struct {
		name     string
		chain    authz.Chain
		user     api.User
		decision authz.Decision
		reason   string
		err      error
	}{
		{"the zero chain refuses", authz.Chain{}, jane, authz.NoOpinion, "", nil},
		{"the zero chain knows masters", authz.Chain{}, root, authz.Allow, "group system:masters is allowed everything", nil},
		{"a review may ask about a group alone, which makes no permit", authz.Chain{}, ghost, authz.Allow, "group system:masters is allowed everything", nil},
		{"nobody gets a permit by an authorizer", authz.Chain{Allowers: list{allow}, Deniers: list{silent}}, nobody, authz.Allow, "yes", nil},
		{"the first allow wins", authz.Chain{Allowers: list{silent, allow, deny}}, jane, authz.Allow, "yes", nil},
		{"a deny before the allow wins", authz.Chain{Allowers: list{silent, deny, allow}}, jane, authz.Deny, "no", nil},
		{"silence refuses and its reasons are kept", authz.Chain{Allowers: list{shrug, silent, shrug}}, jane, authz.NoOpinion, "nothing known\nnothing known", nil},
		{"an error does not stop a later allow", authz.Chain{Allowers: list{broken, allow}}, jane, authz.Allow, "yes", nil},
		{"an error without an allow is kept", authz.Chain{Allowers: list{broken, silent}}, jane, authz.NoOpinion, "", errBroken},
		{"a denier wins over an allower", authz.Chain{Deniers: list{deny}, Allowers: list{allow}}, jane, authz.Deny, "no", nil},
		{"a denier is asked about masters", authz.Chain{Deniers: list{silent, deny}}, root, authz.Deny, "no", nil},
		{"a denier cannot allow", authz.Chain{Deniers: list{allow}}, jane, authz.NoOpinion, "", nil},
		{"a broken denier denies", authz.Chain{Deniers: list{broken}, Allowers: list{allow}}, jane, authz.Deny, "", errBroken},
		{"a broken denier denies though it says allow", authz.Chain{Deniers: list{lenient}, Allowers: list{allow}}, jane, authz.Deny, "yes, though", errBroken},
		{"a broken denier denies masters", authz.Chain{Deniers: list{broken}}, root, authz.Deny, "", errBroken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			decision, reason, err := tt.chain.Authorize(context.Background(), tt.user, getPod)
			if decision != tt.decision || reason != tt.reason || !errors.Is(err, tt.err) {
				t.Errorf("Authorize = %v, %q, %v; want %v, %q, %v", decision, reason, err, tt.decision, tt.reason, tt.err)
			}
			permit, err := tt.chain.Permit(context.Background(), tt.user, getPod)
			if allowed := tt.decision == authz.Allow && tt.user.Name != ""; permit.Valid() != allowed || (err == nil) != allowed {
				t.Errorf("Permit is valid: %v, error %v; the decision was %v", permit.Valid(), err, tt.decision)
			}
		})
	}
}

// FuzzDenierNeverWidens adds a denier at a random place of a random chain: what was refused stays refused.
func FuzzDenierNeverWidens(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed)
	}
	answers := []authz.Authorizer{allow, deny, silent, shrug, broken, lenient}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		some := func() (list []authz.Authorizer) {
			for range rnd.IntN(4) {
				list = append(list, answers[rnd.IntN(len(answers))])
			}
			return list
		}
		for range 50 {
			before := authz.Chain{Deniers: some(), Allowers: some()}
			at := rnd.IntN(len(before.Deniers) + 1)
			after := before
			after.Deniers = append(append(append([]authz.Authorizer{}, before.Deniers[:at]...), answers[rnd.IntN(len(answers))]), before.Deniers[at:]...)
			for _, u := range []api.User{jane, root, ghost} {
				was, _ := before.Permit(context.Background(), u, getPod)
				is, _ := after.Permit(context.Background(), u, getPod)
				if is.Valid() && !was.Valid() {
					t.Fatalf("seed %d: %+v allows %q what %+v refuses", seed, after, u.Name, before)
				}
			}
		}
	})
}

func TestRefusal(t *testing.T) {
	tests := []struct {
		name string
		info api.RequestInfo
		why  string
		want string
	}{
		{"in a namespace", getPod, "", `pods "p" is forbidden: User "jane" cannot get resource "pods/log" in API group "" in the namespace "dev"`},
		{
			"cluster-wide, with a reason",
			api.RequestInfo{IsResource: true, Verb: "list", Group: "apps", Resource: "deployments"},
			"no",
			`deployments.apps is forbidden: User "jane" cannot list resource "deployments" in API group "apps" at the cluster scope: no`,
		},
		{"a path", api.RequestInfo{Verb: "get", Path: "/metrics"}, "", `forbidden: User "jane" cannot get path "/metrics"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			chain := authz.Chain{Allowers: []authz.Authorizer{answer{authz.NoOpinion, tt.why, nil}}}
			_, err := chain.Permit(context.Background(), jane, tt.info)
			got := api.ToError(err)
			if got.Code() != http.StatusForbidden || !errors.Is(err, authz.ErrDenied) || got.Status.Message != tt.want {
				t.Errorf("code %d, denied %v, message\n%s\nwant\n%s", got.Code(), errors.Is(err, authz.ErrDenied), got.Status.Message, tt.want)
			}
		})
	}
}

func TestFailureIsNotTold(t *testing.T) {
	secret := fmt.Errorf("dial 10.0.0.1: %w", errBroken)
	_, err := authz.Chain{Allowers: []authz.Authorizer{answer{err: secret}}}.Permit(context.Background(), jane, getPod)
	got := api.ToError(err)
	if got.Code() != http.StatusInternalServerError || !errors.Is(err, errBroken) || strings.Contains(got.Status.Message, "10.0.0.1") {
		t.Errorf("code %d, message %q, cause %v", got.Code(), got.Status.Message, got.Cause)
	}
}

func TestPermit(t *testing.T) {
	info := getPod
	info.Tail = []string{"a"}
	chain := authz.Chain{Allowers: []authz.Authorizer{allow}}
	permit, err := chain.Permit(context.Background(), jane, info)
	if err != nil || permit.IsSystem() || permit.Reason() != "yes" || permit.User().Name != "jane" {
		t.Fatalf("Permit = %+v, %v", permit, err)
	}
	want := info
	want.Tail = []string{"a"}
	info.Tail[0] = "elsewhere"
	permit.Info().Tail[0] = "elsewhere"
	if diff := cmp.Diff(want, permit.Info()); diff != "" {
		t.Errorf("the permit was changed from outside (-want +got):\n%s", diff)
	}
	if (authz.Permit{}).Valid() {
		t.Error("the zero permit is valid")
	}
}

func TestSystem(t *testing.T) {
	permit := authz.System("garbage collection", getPod)
	if !permit.Valid() || !permit.IsSystem() || permit.Reason() != "garbage collection" || !permit.User().InGroup(api.GroupMasters) {
		t.Errorf("System = %+v", permit)
	}
	if authz.System("", getPod).Valid() {
		t.Error("a system permit without a reason is valid")
	}
}

func TestDecisionString(t *testing.T) {
	for d, want := range map[authz.Decision]string{authz.Allow: "allow", authz.Deny: "deny", authz.NoOpinion: "no opinion", 99: "no opinion"} {
		if d.String() != want {
			t.Errorf("Decision(%d) = %q, want %q", d, d, want)
		}
	}
}
