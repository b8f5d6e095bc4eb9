package tokenfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/tokenfile"
	"github.com/gatehouse/gatehouse/internal/pki"
)

func write(t testing.TB, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, data string) *tokenfile.Authenticator {
	t.Helper()
	a, err := tokenfile.Open(tokenfile.Options{Path: write(t, data)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func user(t testing.TB, a *tokenfile.Authenticator, token string) *api.User {
	t.Helper()
	res, err := a.Authenticate(t.Context(), authn.Credentials{BearerToken: token, HasBearer: true})
	if err != nil {
		t.Fatal(err)
	}
	if res == nil {
		return nil
	}
	return &res.User
}

const sample = "t0ken-a,alice,u1,\"dev,ops\"\r\n" + "t0ken-b,bob,,\n" + "t0ken-c,\"carol, the third\",u3\n"

func TestAuthenticate(t *testing.T) {
	a := open(t, sample)
	tests := map[string]*api.User{
		"t0ken-a":                  {Name: "alice", UID: "u1", Groups: []string{"dev", "ops"}},
		"t0ken-b":                  {Name: "bob"},
		"t0ken-c":                  {Name: "carol, the third", UID: "u3"},
		"T0ken-a":                  nil,
		"t0ken-a ":                 nil,
		"t0ken-":                   nil,
		"null":                     nil,
		strings.Repeat("a", 1<<20): nil,
	}
	for token, want := range tests {
		if diff := cmp.Diff(want, user(t, a, token)); diff != "" {
			t.Errorf("token %.20q (-want +got):\n%s", token, diff)
		}
	}
	res, err := a.Authenticate(t.Context(), authn.Credentials{BearerToken: "t0ken-a"})
	if res != nil || err != nil {
		t.Errorf("without an Authorization header: %v, %v", res, err)
	}
}

// TestResultsAreNotChangedByOthers guards the result that all requests with a token share: what a review and a chain add is not for the next
// request.
func TestResultsAreNotChangedByOthers(t *testing.T) {
	a := open(t, sample)
	chain := &authn.Chain{Tokens: []authn.Authenticator{a}, APIAudiences: []string{"here", "there"}}
	cred := authn.Credentials{BearerToken: "t0ken-a", HasBearer: true}
	for range 2 {
		review, err := chain.Token(t.Context(), "t0ken-a", []string{"there"})
		if err != nil || len(review.Audiences) != 1 {
			t.Fatalf("Token = %v, %v", review, err)
		}
		got, err := chain.Authenticate(t.Context(), cred, api.RequestInfo{})
		if err != nil {
			t.Fatal(err)
		}
		want := &authn.Result{User: api.User{Name: "alice", UID: "u1", Groups: []string{"dev", "ops", api.GroupAuthenticated}}, Method: "tokenfile"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Authenticate (-want +got):\n%s", diff)
		}
		got.User.Groups[0] = "another" // which nobody does, but the groups of the file are not the result's
		if diff := cmp.Diff([]string{"dev", "ops"}, user(t, a, "t0ken-a").Groups); diff != "" {
			t.Errorf("groups of the file (-want +got):\n%s", diff)
		}
	}
}

func TestBrokenFiles(t *testing.T) {
	tests := map[string]struct{ data, want string }{
		"an empty token matches an empty header":      {"a,b,c\n,bob,u\n", "line 2: the token is empty"},
		"a repeated token is two users":               {"a,b,c\n\na,d,e\n", "line 3: the token is listed before"},
		"a user without a name":                       {"a,,c\n", "line 1: the user name"},
		"a name with a space that nobody sees":        {"a,bob ,c\n", "line 1: the user name"},
		"too few columns":                             {"a,b\n", "line 1: 2 columns"},
		"a group list without quotes loses groups":    {"a,b,c,g1,g2\n", "line 1: 5 columns"},
		"an empty group":                              {"a,b,c,\"g1,,g2\"\n", "line 1: a group"},
		"a group with a space that never matches":     {"a,b,c,\"g1, g2\"\n", "line 1: a group"},
		"a token that cannot be sent":                 {"a b,b,c\n", "line 1: the token holds"},
		"a token that is not ASCII":                   {"tök,b,c\n", "line 1: the token holds"},
		"a token that is too long":                    {strings.Repeat("a", authn.MaxTokenBytes+1) + ",b,c\n", "line 1: the token is longer"},
		"an open quote":                               {"a,b,c\nd,\"e,f\n", "line 2"},
		"a file over the limit":                       {strings.Repeat("\n", tokenfile.MaxFileBytes+1), "larger than"},
		"more tokens than the limit":                  {manyTokens(tokenfile.MaxTokens + 1), "more than 50000 tokens"},
		"a quote inside a field, which hides a comma": {"a,b\"x,c\n", "line 1, column 4"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := tokenfile.Open(tokenfile.Options{Path: write(t, tc.data)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want one that says %q", err, tc.want)
			}
		})
	}
	if a := open(t, ""); user(t, a, "x") != nil {
		t.Error("an empty file knows a token")
	}
}

func manyTokens(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d,u,\n", i)
	}
	return b.String()
}

func TestErrorsHoldNoToken(t *testing.T) {
	const canary = "s3cr3t"
	for _, data := range []string{canary, canary + ",b", canary + ",,c", canary + " x,b,c", canary + ",b,c\n" + canary + ",b,c", canary + "\",b,c", "\"" + canary} {
		_, err := tokenfile.Open(tokenfile.Options{Path: write(t, data)})
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: error = %v", data, err)
		}
	}
}

func TestPermissions(t *testing.T) {
	path := write(t, sample)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tokenfile.Open(tokenfile.Options{Path: path}); !errors.Is(err, pki.ErrUnsafe) || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("error = %v, want ErrUnsafe that says what to do", err)
	}
	if _, err := tokenfile.Open(tokenfile.Options{Path: path, AllowReadableByOthers: true}); err != nil {
		t.Errorf("with AllowReadableByOthers: %v", err)
	}
}

func TestReload(t *testing.T) {
	path := write(t, sample)
	a, err := tokenfile.Open(tokenfile.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name, data   string
		changed, bad bool
		alice, dora  bool
	}{
		{name: "the same content", data: sample, alice: true},
		{name: "a broken file keeps the last good one", data: "x", bad: true, alice: true},
		{name: "a removed token ends at once", data: "t0ken-d,dora,\n", changed: true, dora: true},
		{name: "an empty file removes all", data: "", changed: true},
	}
	for _, s := range steps {
		if err := os.WriteFile(path, []byte(s.data), 0o600); err != nil {
			t.Fatal(err)
		}
		changed, err := a.Reload()
		if changed != s.changed || (err != nil) != s.bad {
			t.Errorf("%s: Reload = %v, %v", s.name, changed, err)
		}
		if alice, dora := user(t, a, "t0ken-a") != nil, user(t, a, "t0ken-d") != nil; alice != s.alice || dora != s.dora {
			t.Errorf("%s: alice %v, dora %v", s.name, alice, dora)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if changed, err := a.Reload(); changed || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a lost file: Reload = %v, %v", changed, err)
	}
}

func FuzzFile(f *testing.F) {
	for _, s := range []string{sample, "a,b,c", ",,", "a,b,c,\"x,y\"", "\"", "a,b,c\na,b,c", "a,b,c,d,e"} {
		f.Add(s, "t0ken-a")
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data, token string) {
		path := filepath.Join(dir, "tokens.csv")
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := tokenfile.Open(tokenfile.Options{Path: path})
		if err != nil {
			return
		}
		if u := user(t, a, token); u != nil && (token == "" || u.Name == "" || !strings.Contains(data, token)) {
			t.Errorf("token %q gave %v from %q", token, u, data)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	b.ReportAllocs()
	a := open(b, manyTokens(1000))
	c := authn.Credentials{BearerToken: "500", HasBearer: true}
	for b.Loop() {
		if res, err := a.Authenticate(b.Context(), c); res == nil || err != nil {
			b.Fatal(res, err)
		}
	}
}
