package serviceaccount_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn/serviceaccount"
)

func issue(t testing.TB, e *env, change func(*authenticationv1.TokenRequest)) *authenticationv1.TokenRequest {
	t.Helper()
	tr := &authenticationv1.TokenRequest{}
	if change != nil {
		change(tr)
	}
	out, err := e.issuer.TokenRequest(t.Context(), bot(), tr)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func boundTo(kind, name, uid string) func(*authenticationv1.TokenRequest) {
	return func(tr *authenticationv1.TokenRequest) {
		tr.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: name, UID: types.UID(uid)}
	}
}

func seconds(n int64) func(*authenticationv1.TokenRequest) {
	return func(tr *authenticationv1.TokenRequest) { tr.Spec.ExpirationSeconds = &n }
}

// decode returns the header and the claims of a token.
func decode(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	for i, into := range []*map[string]any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func TestClaims(t *testing.T) {
	e := newEnv(t, newECKey(t, elliptic.P256()))
	e.addPod("web", "bot", "n1")
	e.objects["Pod/ns/adrift"] = objectState{uid: "pod-2"}
	e.addPod("adrift", "bot", "gone")
	account := map[string]any{"name": "bot", "uid": "sa-1"}
	tests := map[string]struct {
		change func(*authenticationv1.TokenRequest)
		want   map[string]any
	}{
		"of the account alone":        {nil, map[string]any{}},
		"bound to a pod and its node": {boundTo("Pod", "web", "pod-1"), map[string]any{"pod": map[string]any{"name": "web", "uid": "pod-1"}, "node": map[string]any{"name": "n1", "uid": "node-1"}}},
		"bound to a pod whose node is not known": {boundTo("Pod", "adrift", ""), map[string]any{
			"pod": map[string]any{"name": "adrift", "uid": "pod-2"}, "node": map[string]any{"name": "gone"},
		}},
		"bound to a secret": {boundTo("Secret", "key", "secret-1"), map[string]any{"secret": map[string]any{"name": "key", "uid": "secret-1"}}},
		"bound to a node":   {boundTo("Node", "n1", ""), map[string]any{"node": map[string]any{"name": "n1", "uid": "node-1"}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			out := issue(t, e, tc.change)
			header, claims := decode(t, out.Status.Token)
			if diff := cmp.Diff(map[string]any{"alg": "ES256", "kid": keyID(t, e.key.Public())}, header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			tc.want["namespace"], tc.want["serviceaccount"] = "ns", account
			want := map[string]any{
				"iss": issuer, "sub": "system:serviceaccount:ns:bot", "aud": []any{audience}, "jti": claims["jti"],
				"iat": float64(start.Unix()), "nbf": float64(start.Unix()), "exp": float64(start.Unix() + 3600), "kubernetes.io": tc.want,
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			res, err := e.present(t, out.Status.Token)
			if err != nil || res.CredentialID != "JTI="+claims["jti"].(string) {
				t.Errorf("the token is taken for %v, %v", res, err)
			}
		})
	}
}

func TestTokenRequestAnswer(t *testing.T) {
	e := newEnv(t, newECKey(t, elliptic.P256()))
	in := &authenticationv1.TokenRequest{Status: authenticationv1.TokenRequestStatus{Token: "forged"}}
	before := in.DeepCopy()
	issued, err := e.issuer.Issue(t.Context(), bot(), in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, in); diff != "" {
		t.Errorf("the request was changed (-before +after):\n%s", diff)
	}
	hour := int64(3600)
	want := &authenticationv1.TokenRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "bot", Namespace: "ns", UID: "sa-1", CreationTimestamp: metav1.NewTime(start)},
		Spec:       authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &hour},
		Status:     authenticationv1.TokenRequestStatus{Token: issued.Request.Status.Token, ExpirationTimestamp: metav1.NewTime(start.Add(time.Hour))},
	}
	if diff := cmp.Diff(want, issued.Request); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if _, claims := decode(t, issued.Request.Status.Token); issued.CredentialID != "JTI="+claims["jti"].(string) || len(issued.Warnings) != 0 {
		t.Errorf("credential %q, warnings %q", issued.CredentialID, issued.Warnings)
	}
}

func TestTokenRequestForAnotherAudience(t *testing.T) {
	e := newEnv(t, newECKey(t, elliptic.P256()))
	token := issue(t, e, func(tr *authenticationv1.TokenRequest) { tr.Spec.Audiences = []string{"vault"} }).Status.Token
	if res, _ := e.present(t, token); res != nil {
		t.Errorf("a token for vault was taken by the API: %v", res)
	}
	res, err := e.present(t, token, "vault")
	if err != nil || !cmp.Equal(res.Audiences, []string{"vault"}) {
		t.Errorf("reviewed for vault: %v, %v", res, err)
	}
}

func TestTokenRequestRefusals(t *testing.T) {
	e := newEnv(t, newECKey(t, elliptic.P256()))
	e.addPod("web", "other", "")
	type change = func(*authenticationv1.TokenRequest)
	tests := map[string]struct {
		change change
		code   int
		reason metav1.StatusReason
	}{
		"less than ten minutes":  {seconds(599), http.StatusUnprocessableEntity, metav1.StatusReasonInvalid},
		"more than 2^32 seconds": {seconds(1<<32 + 1), http.StatusUnprocessableEntity, metav1.StatusReasonInvalid},
		"negative":               {seconds(-1 << 63), http.StatusUnprocessableEntity, metav1.StatusReasonInvalid},
		"another name":           {func(tr *authenticationv1.TokenRequest) { tr.Name = "x" }, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid},
		"another namespace":      {func(tr *authenticationv1.TokenRequest) { tr.Namespace = "x" }, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid},
		"another uid":            {func(tr *authenticationv1.TokenRequest) { tr.UID = "x" }, http.StatusConflict, metav1.StatusReasonConflict},
		"an empty audience":      {func(tr *authenticationv1.TokenRequest) { tr.Spec.Audiences = []string{""} }, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid},
		"too many audiences": {func(tr *authenticationv1.TokenRequest) {
			tr.Spec.Audiences = strings.Split(strings.Repeat("a,", 64)+"a", ",")
		}, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid},
		"audiences too long":          {func(tr *authenticationv1.TokenRequest) { tr.Spec.Audiences = []string{strings.Repeat("a", 4097)} }, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid},
		"a pod of another account":    {boundTo("Pod", "web", "pod-1"), http.StatusBadRequest, metav1.StatusReasonBadRequest},
		"a pod that does not exist":   {boundTo("Pod", "gone", ""), http.StatusNotFound, metav1.StatusReasonNotFound},
		"a secret that does not":      {boundTo("Secret", "gone", ""), http.StatusNotFound, metav1.StatusReasonNotFound},
		"a secret of another uid":     {boundTo("Secret", "key", "x"), http.StatusConflict, metav1.StatusReasonConflict},
		"a node of another uid":       {boundTo("Node", "n1", "x"), http.StatusConflict, metav1.StatusReasonConflict},
		"a kind that cannot be bound": {boundTo("ConfigMap", "x", ""), http.StatusBadRequest, metav1.StatusReasonBadRequest},
		"a kind of another group": {func(tr *authenticationv1.TokenRequest) {
			tr.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "acme.com/v1", Kind: "Pod", Name: "web"}
		}, http.StatusBadRequest, metav1.StatusReasonBadRequest},
		"an object without a name": {boundTo("Secret", "", ""), http.StatusBadRequest, metav1.StatusReasonBadRequest},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tr := &authenticationv1.TokenRequest{}
			tc.change(tr)
			out, err := e.issuer.TokenRequest(t.Context(), bot(), tr)
			var refusal *api.Error
			if out != nil || !errors.As(err, &refusal) || refusal.Code() != tc.code || refusal.Reason() != tc.reason {
				t.Errorf("got %v, %v, want %d %s", out, err, tc.code, tc.reason)
			}
		})
	}
	e.err = errors.New("no store")
	for _, kind := range []string{"Pod", "Secret", "Node"} {
		tr := &authenticationv1.TokenRequest{}
		boundTo(kind, "x", "")(tr)
		if _, err := e.issuer.TokenRequest(t.Context(), bot(), tr); !errors.Is(err, e.err) || api.ToError(err).Code() != http.StatusInternalServerError {
			t.Errorf("%s that cannot be looked up: %v", kind, err)
		}
	}
}

func TestExpiration(t *testing.T) {
	limit := func(o *serviceaccount.IssuerOptions) { o.MaxExpiration = 2 * time.Hour }
	extend := func(o *serviceaccount.IssuerOptions) { o.ExtendExpiration = true }
	pod := boundTo("Pod", "web", "")
	podFor := func(n int64, audiences ...string) func(*authenticationv1.TokenRequest) {
		return func(tr *authenticationv1.TokenRequest) {
			pod(tr)
			seconds(n)(tr)
			tr.Spec.Audiences = audiences
		}
	}
	tests := map[string]struct {
		option    func(*serviceaccount.IssuerOptions)
		change    func(*authenticationv1.TokenRequest)
		status    int64 // of the answer, in seconds
		exp, warn int64 // of the claims
		warnings  int
	}{
		"the longest":                               {func(*serviceaccount.IssuerOptions) {}, seconds(1 << 32), 1 << 32, 1 << 32, 0, 0},
		"over the configured limit":                 {limit, seconds(7201), 7200, 7200, 0, 1},
		"at the configured limit":                   {limit, seconds(7200), 7200, 7200, 0, 0},
		"a pod's default is not extended by itself": {limit, podFor(3607), 3607, 3607, 0, 0},
		"a pod's default, extended":                 {extend, podFor(3607), 3607, 365 * 86400, 3607, 0},
		"another time is not extended":              {extend, podFor(3600), 3600, 3600, 0, 0},
		"another audience is not extended":          {extend, podFor(3607, audience, "vault"), 3607, 3607, 0, 0},
		"a token of no pod is not extended":         {extend, seconds(3607), 3607, 3607, 0, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, newECKey(t, elliptic.P256()), tc.option)
			e.addPod("web", "bot", "")
			tr := &authenticationv1.TokenRequest{}
			tc.change(tr)
			issued, err := e.issuer.Issue(t.Context(), bot(), tr)
			if err != nil {
				t.Fatal(err)
			}
			if got := issued.Request.Status.ExpirationTimestamp.Unix() - start.Unix(); got != tc.status || *issued.Request.Spec.ExpirationSeconds != tc.status {
				t.Errorf("the answer says %d and %d seconds, want %d", got, *issued.Request.Spec.ExpirationSeconds, tc.status)
			}
			_, claims := decode(t, issued.Request.Status.Token)
			if got := int64(claims["exp"].(float64)) - start.Unix(); got != tc.exp {
				t.Errorf("exp is in %d seconds, want %d", got, tc.exp)
			}
			warn, _ := claims["kubernetes.io"].(map[string]any)["warnafter"].(float64)
			if got := int64(warn); (got != 0 || tc.warn != 0) && got-start.Unix() != tc.warn {
				t.Errorf("warnafter = %d", got)
			}
			if len(issued.Warnings) != tc.warnings {
				t.Errorf("warnings = %q", issued.Warnings)
			}
		})
	}
}

// TestDocuments verifies a token by nothing but the two published documents, as a relying party does.
func TestDocuments(t *testing.T) {
	for name, key := range map[string]crypto.Signer{"RS256": newRSAKey(t), "ES256": newECKey(t, elliptic.P256()), "ES384": newECKey(t, elliptic.P384()), "ES512": newECKey(t, elliptic.P521())} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, key)
			want := `{"issuer":"https://kubernetes.default.svc","jwks_uri":"` + jwksURI + `","response_types_supported":["id_token"],` +
				`"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["` + name + `"]}`
			if diff := cmp.Diff(want, string(e.issuer.Discovery())); diff != "" {
				t.Errorf("discovery (-want +got):\n%s", diff)
			}
			var set struct {
				Keys []map[string]string `json:"keys"`
			}
			if err := json.Unmarshal(e.issuer.JWKS(), &set); err != nil || len(set.Keys) != 1 {
				t.Fatalf("JWKS %s: %v", e.issuer.JWKS(), err)
			}
			if k := set.Keys[0]; k["alg"] != name || k["use"] != "sig" || k["kid"] != keyID(t, key.Public()) {
				t.Errorf("key = %v", k)
			}
			public := fromJWK(t, set.Keys[0])
			if _, err := jwt.Parse(issue(t, e, nil).Status.Token, func(*jwt.Token) (any, error) { return public, nil }, jwt.WithTimeFunc(e.Clock)); err != nil {
				t.Errorf("the token does not verify by the published key: %v", err)
			}
			if strings.Contains(string(e.issuer.JWKS()), `"d"`) {
				t.Error("the document holds a private part")
			}
		})
	}
}

func fromJWK(t *testing.T, k map[string]string) crypto.PublicKey {
	t.Helper()
	number := func(name string) []byte {
		data, err := base64.RawURLEncoding.DecodeString(k[name])
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if k["kty"] == "RSA" {
		return &rsa.PublicKey{N: new(big.Int).SetBytes(number("n")), E: int(new(big.Int).SetBytes(number("e")).Int64())}
	}
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k["crv"]]
	public, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, number("x")...), number("y")...))
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestNoDocuments(t *testing.T) {
	for name, change := range map[string]func(*serviceaccount.IssuerOptions){
		"an issuer that is not https": func(o *serviceaccount.IssuerOptions) { o.Issuer = "http://x" },
		"an issuer that is a name":    func(o *serviceaccount.IssuerOptions) { o.Issuer = "kubernetes" },
		"an issuer with a query":      func(o *serviceaccount.IssuerOptions) { o.Issuer = "https://x?y" },
		"no address for the key set":  func(o *serviceaccount.IssuerOptions) { o.JWKSURI = "" },
	} {
		if e := newEnv(t, newECKey(t, elliptic.P256()), change); e.issuer.Discovery() != nil || e.issuer.JWKS() != nil {
			t.Errorf("%s: there are documents", name)
		}
	}
}

func TestIssuerRefusesOptions(t *testing.T) {
	e := newEnv(t, newECKey(t, elliptic.P256()))
	good := serviceaccount.IssuerOptions{Issuer: issuer, Audiences: []string{audience}, Keys: e.keys, Objects: e, Pods: e, Clock: e.Clock}
	for name, change := range map[string]func(*serviceaccount.IssuerOptions){
		"no issuer":              func(o *serviceaccount.IssuerOptions) { o.Issuer = "" },
		"an issuer with a colon": func(o *serviceaccount.IssuerOptions) { o.Issuer = "a b:c" },
		"no audience":            func(o *serviceaccount.IssuerOptions) { o.Audiences = nil },
		"no keys":                func(o *serviceaccount.IssuerOptions) { o.Keys = nil },
		"a limit under an hour":  func(o *serviceaccount.IssuerOptions) { o.MaxExpiration = time.Minute },
		"keys at an http URL":    func(o *serviceaccount.IssuerOptions) { o.JWKSURI = "http://x/jwks" },
	} {
		opts := good
		change(&opts)
		if _, err := serviceaccount.NewIssuer(opts); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}
