package authn_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
)

func request(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/api", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestFromRequest(t *testing.T) {
	tests := map[string]struct {
		headers []string
		token   string
		bearer  bool
		bad     bool
	}{
		"no header":                          {},
		"a token":                            {headers: []string{"Authorization", "Bearer abc.def"}, token: "abc.def", bearer: true},
		"the scheme in other letters":        {headers: []string{"Authorization", "bEARER x"}, token: "x", bearer: true},
		"null is a token like any other":     {headers: []string{"Authorization", "Bearer null"}, token: "null", bearer: true},
		"the longest token":                  {headers: []string{"Authorization", "Bearer " + strings.Repeat("a", authn.MaxTokenBytes)}, token: strings.Repeat("a", authn.MaxTokenBytes), bearer: true},
		"one byte too long":                  {headers: []string{"Authorization", "Bearer " + strings.Repeat("a", authn.MaxTokenBytes+1)}, bad: true},
		"a megabyte of dots":                 {headers: []string{"Authorization", "Bearer " + strings.Repeat(".", 1<<20)}, bad: true},
		"an empty header is a failed login":  {headers: []string{"Authorization", ""}, bad: true},
		"an empty token":                     {headers: []string{"Authorization", "Bearer "}, bad: true},
		"a scheme and no token":              {headers: []string{"Authorization", "Bearer"}, bad: true},
		"two spaces":                         {headers: []string{"Authorization", "Bearer  x"}, bad: true},
		"two tokens in one header":           {headers: []string{"Authorization", "Bearer a b"}, bad: true},
		"two headers, one of which is valid": {headers: []string{"Authorization", "Bearer a", "Authorization", "Bearer b"}, bad: true},
		"basic with an empty password":       {headers: []string{"Authorization", "Basic YWRtaW46"}, bad: true},
		"a token without a scheme":           {headers: []string{"Authorization", "abc"}, bad: true},
		"a letter that looks like another":   {headers: []string{"Authorization", "Bearer аbc"}, bad: true},
		"a tab":                              {headers: []string{"Authorization", "Bearer a\tb"}, bad: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := authn.FromRequest(request(tc.headers...))
			if tc.bad != (err != nil) || tc.bad != errors.Is(err, authn.ErrMalformed) {
				t.Fatalf("error = %v, want one: %v", err, tc.bad)
			}
			if err != nil && api.ToError(err).Code() != http.StatusUnauthorized {
				t.Errorf("code = %d, want 401", api.ToError(err).Code())
			}
			if c.BearerToken != tc.token || c.HasBearer != tc.bearer {
				t.Errorf("token = %q, %v, want %q, %v", c.BearerToken, c.HasBearer, tc.token, tc.bearer)
			}
		})
	}
}

func TestFromRequestErrorsHoldNoToken(t *testing.T) {
	const canary = "s3cr3t"
	for _, value := range []string{canary, "Basic " + canary, "Bearer " + canary + " x", "Bearer \x01" + canary} {
		_, err := authn.FromRequest(request("Authorization", value))
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: error = %v", value, err)
		}
	}
}

func TestFromRequestTakesThePeerCertificates(t *testing.T) {
	r := request()
	want := []*x509.Certificate{{}}
	r.TLS = &tls.ConnectionState{PeerCertificates: want}
	c, err := authn.FromRequest(r)
	if err != nil || len(c.PeerCertificates) != 1 || c.PeerCertificates[0] != want[0] {
		t.Errorf("credentials = %v, %v", c, err)
	}
}

func TestStripIdentity(t *testing.T) {
	h := http.Header{
		"Authorization": {"a"}, "Proxy-Authorization": {"a"}, "X-Remote-User": {"a"}, "X-Remote-Uid": {"a"}, "X-Remote-Group": {"a", "b"},
		"X-Remote-Extra-Scopes": {"a"}, "Impersonate-User": {"a"}, "Impersonate-Extra-X": {"a"}, "impersonate-group": {"a"}, "x-REMOTE-user": {"a"}, "X_Remote_Group": {"a"}, "impersonate_user": {"a"},
		"X-Remotely": {"kept"}, "Accept": {"kept"},
	}
	authn.IdentityHeaders{}.Strip(h)
	if diff := cmp.Diff(http.Header{"X-Remotely": {"kept"}, "Accept": {"kept"}}, h); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// fixed is an authenticator with one answer.
type fixed struct {
	res *authn.Result
	err error
}

func (f fixed) Authenticate(context.Context, authn.Credentials) (*authn.Result, error) {
	return f.res, f.err
}

func TestChain(t *testing.T) {
	var (
		errBad  = errors.New("bad")
		silent  = fixed{}
		broken  = fixed{err: errBad}
		nobody  = fixed{res: &authn.Result{Method: "x"}}
		cert    = fixed{res: &authn.Result{User: api.User{Name: "cert", Groups: []string{"g"}}, Method: "x509"}}
		token   = fixed{res: &authn.Result{User: api.User{Name: "token"}, Method: "tokenfile"}}
		peer    = authn.Credentials{PeerCertificates: []*x509.Certificate{{}}}
		bearer  = authn.Credentials{BearerToken: "t", HasBearer: true}
		both    = authn.Credentials{PeerCertificates: []*x509.Certificate{{}}, BearerToken: "t", HasBearer: true}
		none    = authn.Credentials{}
		anyone  = authn.Anonymous{Enabled: true}
		health  = authn.Anonymous{Enabled: true, Paths: []string{"/healthz"}}
		noPaths = authn.Anonymous{Enabled: true, Paths: []string{}}
	)
	list := func(a ...authn.Authenticator) []authn.Authenticator { return a }
	tests := map[string]struct {
		chain authn.Chain
		cred  authn.Credentials
		path  string
		user  string // empty: 401
	}{
		"the zero chain refuses":                            {cred: none},
		"the zero chain refuses a token":                    {cred: bearer},
		"a certificate":                                     {chain: authn.Chain{Certificates: list(cert)}, cred: peer, user: "cert"},
		"a certificate wins over a bad token":               {chain: authn.Chain{Certificates: list(cert), Tokens: list(broken)}, cred: both, user: "cert"},
		"a certificate wins over a good token":              {chain: authn.Chain{Certificates: list(cert), Tokens: list(token)}, cred: both, user: "cert"},
		"a token makes up for a bad certificate":            {chain: authn.Chain{Certificates: list(broken), Tokens: list(token)}, cred: both, user: "token"},
		"a later authenticator makes up for an earlier":     {chain: authn.Chain{Tokens: list(broken, silent, token)}, cred: bearer, user: "token"},
		"a user without a name is nobody":                   {chain: authn.Chain{Tokens: list(nobody), Anonymous: anyone}, cred: bearer},
		"a bad certificate is not anonymous":                {chain: authn.Chain{Certificates: list(broken), Anonymous: anyone}, cred: peer},
		"a bad token is not anonymous":                      {chain: authn.Chain{Tokens: list(broken), Anonymous: anyone}, cred: bearer},
		"an unknown token is not anonymous":                 {chain: authn.Chain{Tokens: list(silent), Anonymous: anyone}, cred: bearer},
		"an unknown token is not anonymous by its cert":     {chain: authn.Chain{Certificates: list(silent), Tokens: list(silent), Anonymous: anyone}, cred: both},
		"an unknown certificate may be anonymous":           {chain: authn.Chain{Certificates: list(silent), Anonymous: anyone}, cred: peer, user: api.UserAnonymous},
		"token authenticators are not asked without one":    {chain: authn.Chain{Tokens: list(token)}, cred: peer},
		"certificate authenticators are not asked without":  {chain: authn.Chain{Certificates: list(cert)}, cred: bearer},
		"anonymous anywhere":                                {chain: authn.Chain{Anonymous: anyone}, cred: none, path: "/api", user: api.UserAnonymous},
		"anonymous on its path":                             {chain: authn.Chain{Anonymous: health}, cred: none, path: "/healthz", user: api.UserAnonymous},
		"anonymous below its path":                          {chain: authn.Chain{Anonymous: health}, cred: none, path: "/healthz/etcd"},
		"anonymous on a path that only begins so":           {chain: authn.Chain{Anonymous: health}, cred: none, path: "/healthzz"},
		"an empty list of paths is not any path":            {chain: authn.Chain{Anonymous: noPaths}, cred: none, path: "/healthz"},
		"paths without enabled":                             {chain: authn.Chain{Anonymous: authn.Anonymous{Paths: []string{"/healthz"}}}, cred: none, path: "/healthz"},
		"a token on an anonymous path must be good as well": {chain: authn.Chain{Tokens: list(broken), Anonymous: health}, cred: bearer, path: "/healthz"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			res, err := tc.chain.Authenticate(t.Context(), tc.cred, api.RequestInfo{Path: tc.path})
			if tc.user == "" {
				if res != nil || err == nil || api.ToError(err).Code() != http.StatusUnauthorized {
					t.Fatalf("result = %v, %v, want 401", res, err)
				}
				return
			}
			if err != nil || res.User.Name != tc.user {
				t.Fatalf("result = %v, %v, want user %s", res, err, tc.user)
			}
			if anonymous := tc.user == api.UserAnonymous; res.User.InGroup(api.GroupAuthenticated) == anonymous || res.User.InGroup(api.GroupUnauthenticated) != anonymous {
				t.Errorf("groups = %v", res.User.Groups)
			}
		})
	}
	if len(cert.res.User.Groups) != 1 {
		t.Errorf("the chain changed a shared result: %v", cert.res.User)
	}
}

func TestChainDoesNotPromoteUnauthenticated(t *testing.T) {
	for _, user := range []api.User{{Name: api.UserAnonymous}, {Name: "x", Groups: []string{api.GroupUnauthenticated}}} {
		chain := authn.Chain{Tokens: []authn.Authenticator{fixed{res: &authn.Result{User: user}}}}
		res, err := chain.Authenticate(t.Context(), authn.Credentials{BearerToken: "t", HasBearer: true}, api.RequestInfo{})
		if err != nil || res.User.InGroup(api.GroupAuthenticated) {
			t.Errorf("user %v became %v, %v", user, res, err)
		}
	}
}

func TestChainKeepsReasonsFromTheClient(t *testing.T) {
	chain := authn.Chain{Tokens: []authn.Authenticator{fixed{err: errors.New("key 7 is gone")}}}
	_, err := chain.Authenticate(t.Context(), authn.Credentials{BearerToken: "t", HasBearer: true}, api.RequestInfo{})
	if status := api.ToError(err).Status; status.Message != "Unauthorized" || !strings.Contains(err.Error(), "key 7") {
		t.Errorf("the client is told %q, the log %q", status.Message, err)
	}
}

func TestChainToken(t *testing.T) {
	agnostic := fixed{res: &authn.Result{User: api.User{Name: "a"}}}
	bound := fixed{res: &authn.Result{User: api.User{Name: "a"}, Audiences: []string{"vault"}}}
	tests := map[string]struct {
		with      authn.Authenticator
		token     string
		audiences []string
		want      []string // nil: 401
	}{
		"a token without audiences is for the server":      {agnostic, "t", nil, []string{"api", "api2"}},
		"a token without audiences, asked for one of ours": {agnostic, "t", []string{"vault", "api"}, []string{"api"}},
		"a token without audiences, asked for another":     {agnostic, "t", []string{"vault"}, nil},
		"a token with audiences keeps them":                {bound, "t", []string{"vault"}, []string{"vault"}},
		"an empty token":                                   {agnostic, "", nil, nil},
		"a token over the limit":                           {agnostic, strings.Repeat("a", authn.MaxTokenBytes+1), nil, nil},
		"an unknown token":                                 {fixed{}, "t", nil, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			chain := authn.Chain{Tokens: []authn.Authenticator{tc.with}, APIAudiences: []string{"api", "api2"}}
			res, err := chain.Token(t.Context(), tc.token, tc.audiences)
			if (err == nil) != (tc.want != nil) {
				t.Fatalf("result = %v, %v", res, err)
			}
			if err == nil && !cmp.Equal(tc.want, res.Audiences) {
				t.Errorf("audiences = %v, want %v", res.Audiences, tc.want)
			}
			if err != nil && api.ToError(err).Code() != http.StatusUnauthorized {
				t.Errorf("error = %v, want 401", err)
			}
		})
	}
}

// revokes refuses a user by name.
type revokes string

func (r revokes) Revoked(_ authn.Credentials, res *authn.Result) error {
	if res.User.Name == string(r) {
		return authn.ErrRevoked
	}
	return nil
}

func TestRevocationEndsTheRequest(t *testing.T) {
	cert := fixed{res: &authn.Result{User: api.User{Name: "lost"}}}
	token := fixed{res: &authn.Result{User: api.User{Name: "token"}}}
	chain := authn.Chain{
		Certificates: []authn.Authenticator{cert}, Tokens: []authn.Authenticator{token},
		Anonymous: authn.Anonymous{Enabled: true}, Revocation: revokes("lost"),
	}
	both := authn.Credentials{PeerCertificates: []*x509.Certificate{{}}, BearerToken: "t", HasBearer: true}
	if res, err := chain.Authenticate(t.Context(), both, api.RequestInfo{}); res != nil || !errors.Is(err, authn.ErrRevoked) {
		t.Errorf("a good token made up for a revoked certificate: %v, %v", res, err)
	}
	chain.Revocation = revokes("token")
	if res, err := chain.Token(t.Context(), "t", nil); res != nil || api.ToError(err).Code() != http.StatusUnauthorized {
		t.Errorf("a review of a revoked token: %v, %v", res, err)
	}
}

func TestRecheck(t *testing.T) {
	was := &authn.Result{User: api.User{Name: "a", UID: "1"}}
	remote := &authn.Result{User: api.User{Name: "a", UID: "1"}, Remote: true}
	tests := map[string]struct {
		now     fixed
		was     *authn.Result
		revoked revokes
		good    bool
	}{
		"as before":                            {now: fixed{res: was}, was: was, good: true},
		"not known any more":                   {was: was},
		"refused":                              {now: fixed{err: errors.New("the account is gone")}, was: was},
		"only expired":                         {now: fixed{err: authn.ErrExpired}, was: was, good: true},
		"expired and revoked":                  {now: fixed{err: authn.ErrExpired}, was: was, revoked: "a"},
		"revoked":                              {now: fixed{res: was}, was: was, revoked: "a"},
		"somebody else":                        {now: fixed{res: &authn.Result{User: api.User{Name: "b", UID: "1"}}}, was: was},
		"somebody else by the same name":       {now: fixed{res: &authn.Result{User: api.User{Name: "a", UID: "2"}}}, was: was},
		"somebody far away is not asked again": {now: fixed{err: errors.New("asked")}, was: remote, good: true},
		"but what is revoked ends":             {now: fixed{res: remote}, was: remote, revoked: "a"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			chain := authn.Chain{Tokens: []authn.Authenticator{tc.now}, Revocation: tc.revoked}
			err := chain.Recheck(t.Context(), authn.Credentials{BearerToken: "t", HasBearer: true}, api.RequestInfo{}, tc.was)
			if (err == nil) != tc.good || (err != nil && api.ToError(err).Code() != http.StatusUnauthorized) {
				t.Errorf("error = %v, want none: %v", err, tc.good)
			}
		})
	}
}

func TestServiceAccountName(t *testing.T) {
	for user, want := range map[string][2]string{
		"system:serviceaccount:ns:name":      {"ns", "name"},
		"system:serviceaccount:ns:a.b":       {"ns", "a.b"},
		"system:serviceaccount:ns:":          {},
		"system:serviceaccount::name":        {},
		"system:serviceaccount:ns":           {},
		"system:serviceaccount:ns:name:more": {},
		"system:serviceaccount:../x:name":    {},
		"system:serviceaccount:NS:name":      {},
		"system:serviceaccounts:ns":          {},
		"alice":                              {},
	} {
		namespace, name, ok := authn.ServiceAccountName(user)
		if got := [2]string{namespace, name}; got != want || ok != (want[0] != "") {
			t.Errorf("%s: got %v, %v", user, got, ok)
		}
		if ok && authn.ServiceAccountUser(namespace, name).Name != user {
			t.Errorf("%s does not come back", user)
		}
	}
}

func FuzzFromRequest(f *testing.F) {
	for _, s := range []string{"", "Bearer", "Bearer a", "bearer a.b.c", "Basic x", "Bearer a b", "Bearer \x00", "Bearer " + strings.Repeat(".", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := request()
		r.Header["Authorization"] = []string{value}
		c, err := authn.FromRequest(r)
		if err != nil {
			if c.HasBearer || c.BearerToken != "" {
				t.Errorf("refused, but returned %v", c)
			}
			return
		}
		if !c.HasBearer || !strings.EqualFold(value, "Bearer "+c.BearerToken) || strings.ContainsAny(c.BearerToken, " \t\r\n") {
			t.Errorf("%q was read as %q", value, c.BearerToken)
		}
	})
}
