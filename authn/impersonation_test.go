package authn_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
)

func allowAll(context.Context, api.User, api.RequestInfo) error { return nil }

// check renders what must be authorized as group/resource/subresource namespace/name.
func check(i api.RequestInfo) string {
	if !i.IsResource || i.Verb != "impersonate" {
		return "not an impersonation"
	}
	return strings.Join([]string{i.Group, i.ResourceWithSub(), i.Namespace, i.Name}, " ")
}

func TestImpersonation(t *testing.T) {
	tests := map[string]struct {
		headers []string
		user    api.User
		checks  []string
	}{
		"a user": {
			headers: []string{"Impersonate-User", "alice"},
			user:    api.User{Name: "alice", Groups: []string{api.GroupAuthenticated}},
			checks:  []string{" users  alice"},
		},
		"groups, each on its own": {
			headers: []string{"Impersonate-User", "alice", "Impersonate-Group", "a", "Impersonate-Group", "b"},
			user:    api.User{Name: "alice", Groups: []string{"a", "b", api.GroupAuthenticated}},
			checks:  []string{" users  alice", " groups  a", " groups  b"},
		},
		"a service account has its groups": {
			headers: []string{"Impersonate-User", "system:serviceaccount:ns:bot"},
			user:    api.User{Name: "system:serviceaccount:ns:bot", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:ns", api.GroupAuthenticated}},
			checks:  []string{" serviceaccounts ns bot"},
		},
		"a service account with named groups has those only": {
			headers: []string{"Impersonate-User", "system:serviceaccount:ns:bot", "Impersonate-Group", "a"},
			user:    api.User{Name: "system:serviceaccount:ns:bot", Groups: []string{"a", api.GroupAuthenticated}},
			checks:  []string{" serviceaccounts ns bot", " groups  a"},
		},
		"what only looks like a service account is a user": {
			headers: []string{"Impersonate-User", "system:serviceaccount:ns:bot:x"},
			user:    api.User{Name: "system:serviceaccount:ns:bot:x", Groups: []string{api.GroupAuthenticated}},
			checks:  []string{" users  system:serviceaccount:ns:bot:x"},
		},
		"uid and extras, every value on its own": {
			headers: []string{
				"Impersonate-User", "alice", "Impersonate-Uid", "u1",
				"Impersonate-Extra-Scopes", "view", "Impersonate-Extra-Scopes", "dev", "Impersonate-Extra-Acme.com%2fproject", "p",
			},
			user: api.User{
				Name: "alice", UID: "u1", Groups: []string{api.GroupAuthenticated},
				Extra: map[string][]string{"scopes": {"view", "dev"}, "acme.com/project": {"p"}},
			},
			checks: []string{
				" users  alice", "authentication.k8s.io userextras/acme.com/project  p", "authentication.k8s.io userextras/scopes  view",
				"authentication.k8s.io userextras/scopes  dev", "authentication.k8s.io uids  u1",
			},
		},
		"the anonymous user": {
			headers: []string{"Impersonate-User", api.UserAnonymous},
			user:    api.User{Name: api.UserAnonymous, Groups: []string{api.GroupUnauthenticated}},
			checks:  []string{" users  " + api.UserAnonymous},
		},
		"somebody unauthenticated is not authenticated": {
			headers: []string{"Impersonate-User", "x", "Impersonate-Group", api.GroupUnauthenticated},
			user:    api.User{Name: "x", Groups: []string{api.GroupUnauthenticated}},
			checks:  []string{" users  x", " groups  system:unauthenticated"},
		},
		"the authenticated group is not added twice": {
			headers: []string{"Impersonate-User", "x", "Impersonate-Group", api.GroupAuthenticated},
			user:    api.User{Name: "x", Groups: []string{api.GroupAuthenticated}},
			checks:  []string{" users  x", " groups  system:authenticated"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			imp, err := authn.ImpersonationFrom(request(tc.headers...))
			if err != nil {
				t.Fatal(err)
			}
			requester := api.User{Name: "boss"}
			var checks []string
			user, err := imp.As(t.Context(), requester, func(_ context.Context, u api.User, info api.RequestInfo) error {
				if u.Name != requester.Name {
					t.Errorf("authorized %q and not the requester", u.Name)
				}
				checks = append(checks, check(info))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.user, user); diff != "" {
				t.Errorf("user (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.checks, checks); diff != "" {
				t.Errorf("checks (-want +got):\n%s", diff)
			}
			if len(imp.Checks()) != len(checks) {
				t.Errorf("Checks() has %d entries, As made %d", len(imp.Checks()), len(checks))
			}
		})
	}
}

func TestImpersonationBadHeaders(t *testing.T) {
	many := []string{"Impersonate-User", "a"}
	for range authn.MaxImpersonationValues {
		many = append(many, "Impersonate-Group", "g")
	}
	for name, headers := range map[string][]string{
		"a group without a user":        {"Impersonate-Group", "a"},
		"a uid without a user":          {"Impersonate-Uid", "a"},
		"an extra without a user":       {"Impersonate-Extra-A", "a"},
		"two users":                     {"Impersonate-User", "a", "Impersonate-User", "b"},
		"two uids":                      {"Impersonate-User", "a", "Impersonate-Uid", "1", "Impersonate-Uid", "2"},
		"an empty user":                 {"Impersonate-User", ""},
		"an empty group":                {"Impersonate-User", "a", "Impersonate-Group", ""},
		"a misspelt header":             {"Impersonate-User", "a", "Impersonate-Groups", "b"},
		"an extra without a key":        {"Impersonate-User", "a", "Impersonate-Extra-", "b"},
		"an extra with half an escape":  {"Impersonate-User", "a", "Impersonate-Extra-A%2", "b"},
		"an extra key that is not text": {"Impersonate-User", "a", "Impersonate-Extra-%ff", "b"},
		"a user that is not text":       {"Impersonate-User", "a\xff"},
		"too many values":               many,
		"too many bytes":                {"Impersonate-User", strings.Repeat("a", authn.MaxImpersonationBytes)},
	} {
		imp, err := authn.ImpersonationFrom(request(headers...))
		if imp != nil || err == nil || api.ToError(err).Code() != http.StatusBadRequest {
			t.Errorf("%s: got %v, %v, want 400", name, imp, err)
		}
	}
	if imp, err := authn.ImpersonationFrom(request("X-Impersonate-User", "a")); imp != nil || err != nil {
		t.Errorf("without headers: got %v, %v", imp, err)
	}
}

func TestOnlyMastersImpersonateMasters(t *testing.T) {
	imp, err := authn.ImpersonationFrom(request("Impersonate-User", "x", "Impersonate-Group", "dev", "Impersonate-Group", api.GroupMasters))
	if err != nil {
		t.Fatal(err)
	}
	if user, err := imp.As(t.Context(), api.User{Name: "boss", Groups: []string{"dev"}}, allowAll); user.Name != "" || api.ToError(err).Code() != http.StatusForbidden {
		t.Errorf("outside the group: %v, %v, want 403", user, err)
	}
	if _, err := imp.As(t.Context(), api.User{Name: "root", Groups: []string{api.GroupMasters}}, allowAll); err != nil {
		t.Errorf("inside the group: %v", err)
	}
}

// TestEachImpersonationCheckCounts refuses one check at a time.
func TestEachImpersonationCheckCounts(t *testing.T) {
	imp, err := authn.ImpersonationFrom(request("Impersonate-User", "x", "Impersonate-Group", "g", "Impersonate-Uid", "1", "Impersonate-Extra-K", "v"))
	if err != nil {
		t.Fatal(err)
	}
	errRefused := errors.New("refused")
	for i := range imp.Checks() {
		n := 0
		user, err := imp.As(t.Context(), api.User{Name: "boss"}, func(context.Context, api.User, api.RequestInfo) error {
			if n++; n == i+1 {
				return errRefused
			}
			return nil
		})
		if !errors.Is(err, errRefused) || user.Name != "" {
			t.Errorf("check %d refused: got %v, %v", i, user, err)
		}
	}
	if user, err := (&authn.Impersonation{}).As(t.Context(), api.User{Name: "boss"}, allowAll); err == nil {
		t.Errorf("the zero impersonation gave %v", user)
	}
}

func FuzzImpersonation(f *testing.F) {
	f.Add("Impersonate-User", "alice", "Impersonate-Group", "g")
	f.Add("Impersonate-User", "system:serviceaccount:ns:bot", "Impersonate-Extra-A%2fB", "v")
	f.Add("impersonate-uid", "1", "Impersonate-", "")
	f.Add("Impersonate-User", "x", "Impersonate-Group", "system:masters")
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 string) {
		r := request()
		r.Header = http.Header{key1: {value1}}
		r.Header[key2] = append(r.Header[key2], value2)
		imp, err := authn.ImpersonationFrom(r)
		if err != nil || imp == nil {
			if err != nil && api.ToError(err).Code() != http.StatusBadRequest {
				t.Errorf("error = %v, want 400", err)
			}
			return
		}
		user, err := imp.As(t.Context(), api.User{Name: "boss"}, allowAll)
		if err != nil {
			return
		}
		if user.Name == "" || user.InGroup(api.GroupMasters) {
			t.Errorf("acting as %v", user)
		}
		// Every part of the user has been asked for, or follows from its kind.
		free := []string{api.GroupAuthenticated, api.GroupUnauthenticated}
		if namespace, name, ok := authn.ServiceAccountName(user.Name); ok {
			free = append(free, authn.ServiceAccountUser(namespace, name).Groups...)
		}
		for _, group := range user.Groups {
			asked := slices.ContainsFunc(imp.Checks(), func(c api.RequestInfo) bool { return c.Resource == "groups" && c.Name == group })
			if !asked && !slices.Contains(free, group) {
				t.Errorf("group %q was not authorized", group)
			}
		}
		for key, values := range user.Extra {
			for _, value := range values {
				if !slices.ContainsFunc(imp.Checks(), func(c api.RequestInfo) bool { return c.Subresource == key && c.Name == value }) {
					t.Errorf("extra %q=%q was not authorized", key, value)
				}
			}
		}
	})
}
