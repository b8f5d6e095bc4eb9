package requestheader_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/requestheader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errForeign = errors.New("signed by an unknown authority")

// signed is a verifier that knows certificates by their common name.
type signed []string

func (s signed) Verify(presented []*x509.Certificate) error {
	for _, name := range s {
		if presented[0].Subject.CommonName == name {
			return nil
		}
	}
	return errForeign
}

func options() requestheader.Options {
	return requestheader.Options{
		Proxies: signed{"front-proxy", "other-proxy"}, AllowedNames: []string{"front-proxy"},
		UsernameHeaders: []string{"X-Remote-User", "x-second"}, UIDHeaders: []string{"X-Remote-Uid"},
		GroupHeaders: []string{"X-Remote-Group"}, ExtraHeaderPrefixes: []string{"X-Remote-Extra-"},
	}
}

func present(cn string, headers ...string) authn.Credentials {
	c := authn.Credentials{Header: http.Header{}}
	if cn != "" {
		c.PeerCertificates = []*x509.Certificate{{Subject: pkix.Name{CommonName: cn}, Raw: []byte(cn)}}
	}
	for i := 0; i < len(headers); i += 2 {
		c.Header.Add(headers[i], headers[i+1])
	}
	return c
}

func TestAuthenticate(t *testing.T) {
	alice := func(change func(*api.User)) *api.User {
		u := &api.User{Name: "alice"}
		if change != nil {
			change(u)
		}
		return u
	}
	tests := map[string]struct {
		opts func(*requestheader.Options)
		cred authn.Credentials
		want *api.User // nil: nobody
		says string    // of the error; empty: none
	}{
		"the proxy's word":             {cred: present("front-proxy", "X-Remote-User", "alice"), want: alice(nil)},
		"a second name for the header": {cred: present("front-proxy", "X-Second", "alice"), want: alice(nil)},
		"the first header wins":        {cred: present("front-proxy", "X-Second", "bob", "X-Remote-User", "alice"), want: alice(nil)},
		"all of it": {
			cred: present("front-proxy", "X-Remote-User", "alice", "X-Remote-Uid", "7", "X-Remote-Group", "a", "X-Remote-Group", "b", "X-Remote-Group", "",
				"X-Remote-Extra-Scopes", "r", "X-Remote-Extra-Scopes", "w", "X-Remote-Extra-Acme.io%2Fproject", "p"),
			want: alice(func(u *api.User) {
				u.UID, u.Groups = "7", []string{"a", "b"}
				u.Extra = map[string][]string{"scopes": {"r", "w"}, "acme.io/project": {"p"}}
			}),
		},
		"an extra with a broken encoding": {
			cred: present("front-proxy", "X-Remote-User", "alice", "X-Remote-Extra-A%zz", "p"),
			want: alice(func(u *api.User) { u.Extra = map[string][]string{"a%zz": {"p"}} }),
		},
		"no certificate":                              {cred: present("", "X-Remote-User", "alice")},
		"a client's certificate":                      {cred: present("mallory", "X-Remote-User", "alice"), says: errForeign.Error()},
		"a certificate of the authority by the wrong": {cred: present("other-proxy", "X-Remote-User", "alice"), says: "not in the allowed list"},
		"no list of names": {
			opts: func(o *requestheader.Options) { o.AllowedNames = nil },
			cred: present("other-proxy", "X-Remote-User", "alice"), want: alice(nil),
		},
		"the proxy for itself":                       {cred: present("front-proxy")},
		"a client for itself":                        {cred: present("mallory")},
		"a client for itself, judged by nobody else": {opts: func(o *requestheader.Options) { o.JudgeAll = true }, cred: present("mallory"), says: errForeign.Error()},
		"an empty name":                              {cred: present("front-proxy", "X-Remote-User", "")},
		"groups without a name":                      {cred: present("front-proxy", "X-Remote-Group", "system:masters")},
		"a name behind that of the client":           {cred: present("front-proxy", "X-Remote-User", "admin", "X-Remote-User", "alice"), says: "sent 2 times"},
		"an empty name before that of the client": {
			cred: present("front-proxy", "X-Remote-User", "", "X-Remote-User", "alice", "X-Second", "bob"), says: "sent 2 times",
		},
		"two uids": {cred: present("front-proxy", "X-Remote-User", "alice", "X-Remote-Uid", "1", "X-Remote-Uid", "2"), says: "sent 2 times"},
		"headers that are not configured": {
			opts: func(o *requestheader.Options) { o.UsernameHeaders = nil }, cred: present("front-proxy", "X-Remote-User", "alice"),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			opts := options()
			if tc.opts != nil {
				tc.opts(&opts)
			}
			a, err := requestheader.New(opts)
			if err != nil {
				t.Fatal(err)
			}
			res, err := a.Authenticate(t.Context(), tc.cred)
			if (err != nil) != (tc.says != "") || (err != nil && !strings.Contains(err.Error(), tc.says)) {
				t.Fatalf("error = %v, want %q", err, tc.says)
			}
			var got *api.User
			if res != nil {
				got = &res.User
				if res.Method != "requestheader" || !strings.HasPrefix(res.CredentialID, "X509SHA256=") {
					t.Errorf("the record would not show how: %v", res)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("user (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewNeedsAVerifier(t *testing.T) {
	if _, err := requestheader.New(requestheader.Options{}); err == nil {
		t.Error("everybody is believed")
	}
}

// Whatever the names of the headers are, those that a proxy uses do not get past the authentication.
func TestIdentityHeadersAreStripped(t *testing.T) {
	opts := options()
	opts.UsernameHeaders, opts.ExtraHeaderPrefixes = []string{"X-User-Remote"}, []string{"X-More-"}
	a, err := requestheader.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{
		"X-User-Remote": {"a"}, "x-user-remote": {"a"}, "X_User_Remote": {"a"}, "X-More-Scopes": {"a"}, "X_more_scopes": {"a"},
		"X_Remote_Group": {"a"}, "X-Remote-Uid": {"a"}, "Authorization": {"a"}, "X-Users": {"kept"}, "X-Mor": {"kept"},
	}
	a.IdentityHeaders().Strip(h)
	if diff := cmp.Diff(http.Header{"X-Users": {"kept"}, "X-Mor": {"kept"}}, h); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}
