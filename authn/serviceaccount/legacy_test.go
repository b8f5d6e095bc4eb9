package serviceaccount_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/serviceaccount"
)

// legacyWorld is one Secret with a token, its account, and what was told of the token's use.
type legacyWorld struct {
	*world
	secret  *corev1.Secret
	account *corev1.ServiceAccount
	err     error
	used    []string
}

func (w *legacyWorld) Secret(_ context.Context, namespace, name string) (*corev1.Secret, bool, error) {
	if w.secret == nil || namespace != w.secret.Namespace || name != w.secret.Name {
		return nil, false, w.err
	}
	return w.secret, true, w.err
}

func (w *legacyWorld) ServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, bool, error) {
	if w.account == nil || namespace != w.account.Namespace || name != w.account.Name {
		return nil, false, nil
	}
	return w.account, true, nil
}

func (w *legacyWorld) use(s *corev1.Secret, day string) { w.used = append(w.used, s.Name+" "+day) }

const legacyName = "bot-token-x1"

// legacyPayload are good claims, with some replaced; nil removes one.
func legacyPayload(t testing.TB, changes map[string]any) string {
	t.Helper()
	c := map[string]any{
		"iss": serviceaccount.LegacyIssuer, "sub": "system:serviceaccount:ns:bot",
		"kubernetes.io/serviceaccount/namespace": "ns", "kubernetes.io/serviceaccount/secret.name": legacyName,
		"kubernetes.io/serviceaccount/service-account.name": "bot", "kubernetes.io/serviceaccount/service-account.uid": "sa-1",
	}
	for key, value := range changes {
		c[key] = value
		if value == nil {
			delete(c, key)
		}
	}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestLegacy(t *testing.T) {
	key, other := newECKey(t, elliptic.P256()), newECKey(t, elliptic.P256())
	keys, err := serviceaccount.NewKeys(key, []crypto.PublicKey{newRSAKey(t).Public(), key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]any{}
	noKid, kid := `{"alg":"ES256","typ":"JWT"}`, `{"alg":"ES256","kid":"`+keyID(t, key.Public())+`"}`
	tests := map[string]struct {
		header  string // default: kid
		signer  any    // default: key
		claims  map[string]any
		change  func(w *legacyWorld)
		ask     []string
		says    string // of the error; empty with foreign: no opinion
		foreign bool
		warn    bool
		unused  bool // nothing is told of the use
	}{
		"a token":                        {claims: good},
		"a token of an old cluster":      {header: noKid, claims: good},
		"asked for our audience":         {claims: good, ask: []string{"x", audience}},
		"asked for another's":            {claims: good, ask: []string{"x"}, says: "audience"},
		"one with an audience":           {claims: map[string]any{"aud": audience}},
		"one for somebody else":          {claims: map[string]any{"aud": "x"}, says: "audience"},
		"one that the account refers to": {claims: good, warn: true, change: func(w *legacyWorld) { w.account.Secrets = []corev1.ObjectReference{{Name: legacyName}} }},
		"used today":                     {claims: good, unused: true, change: func(w *legacyWorld) { w.secret.Labels[serviceaccount.LabelLastUsed] = "2026-11-01" }},
		"used where it is tomorrow":      {claims: good, unused: true, change: func(w *legacyWorld) { w.secret.Labels[serviceaccount.LabelLastUsed] = "2026-11-02" }},
		"used yesterday":                 {claims: good, change: func(w *legacyWorld) { w.secret.Labels[serviceaccount.LabelLastUsed] = "2026-10-31" }},
		"another issuer":                 {claims: map[string]any{"iss": "x"}, foreign: true},
		"a key that is not ours":         {header: noKid, signer: other, claims: good, says: "signature"},
		"a key that is not ours, named":  {header: `{"alg":"ES256","kid":"x"}`, claims: good, says: "no keys found"},
		"an algorithm without a key":     {header: `{"alg":"none"}`, claims: good, says: "no keys found"},
		"a header that brings its key":   {header: `{"alg":"ES256","jwk":{}}`, claims: good, says: "header"},
		"no secret named":                {claims: map[string]any{"kubernetes.io/serviceaccount/secret.name": nil}, says: "missing"},
		"no uid":                         {claims: map[string]any{"kubernetes.io/serviceaccount/service-account.uid": nil}, says: "missing"},
		"the subject is another account": {claims: map[string]any{"sub": "system:serviceaccount:ns:admin"}, says: "sub claim is invalid"},
		"one that has expired":           {claims: map[string]any{"exp": start.Unix() - 1}, says: "expired"},
		"the secret is gone":             {claims: good, change: func(w *legacyWorld) { w.secret = nil }, says: "Token has been invalidated"},
		"the secret is being deleted":    {claims: good, change: func(w *legacyWorld) { w.secret.DeletionTimestamp = &metav1.Time{Time: start} }, says: "Token has been invalidated"},
		"the secret holds another token": {claims: good, change: func(w *legacyWorld) { w.secret.Data["token"] = []byte("x") }, says: "does not match server's copy"},
		"the secret holds none":          {claims: good, change: func(w *legacyWorld) { w.secret.Data = nil }, says: "does not match server's copy"},
		"the account is gone":            {claims: good, change: func(w *legacyWorld) { w.account = nil }, says: "does not exist"},
		"the account is being deleted":   {claims: good, change: func(w *legacyWorld) { w.account.DeletionTimestamp = &metav1.Time{Time: start} }, says: "has been deleted"},
		"the account was made anew":      {claims: good, change: func(w *legacyWorld) { w.account.UID = "sa-2" }, says: "does not match claim"},
		"nobody knows about the secret":  {claims: good, change: func(w *legacyWorld) { w.err = errors.New("no etcd") }, says: "no etcd"},
		"the token was declared invalid": {claims: good, change: func(w *legacyWorld) { w.secret.Labels[serviceaccount.LabelInvalidSince] = "2026-10-01" }, says: "the token in secret ns/" + legacyName + " for service account ns/bot has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the 'kubernetes.io/legacy-token-invalid-since' label from the secret to temporarily allow use of this token"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			header, signer := kid, any(key)
			if tc.header != "" {
				header = tc.header
			}
			if tc.signer != nil {
				signer = tc.signer
			}
			token := sign(t, jwt.SigningMethodES256, signer, header, legacyPayload(t, tc.claims))
			w := &legacyWorld{
				world:   newWorld(),
				account: bot(),
				secret: &corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Name: legacyName, Namespace: "ns", Labels: map[string]string{}},
					Data:       map[string][]byte{"token": []byte(token)},
				},
			}
			if tc.change != nil {
				tc.change(w)
			}
			l, err := serviceaccount.NewLegacy(serviceaccount.LegacyOptions{Audiences: []string{audience}, Keys: keys, Objects: w, Clock: w.Clock, Used: w.use})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second answer is from the cache
				res, err := l.Authenticate(t.Context(), authn.Credentials{BearerToken: token, HasBearer: true, Audiences: tc.ask})
				checkLegacy(t, res, err, tc.says, tc.foreign, tc.warn)
			}
			told := len(w.used) > 0
			if invalid := strings.Contains(tc.says, "marked invalid"); told != ((tc.says == "" || invalid) && !tc.foreign && !tc.unused) {
				t.Errorf("told of uses: %v", w.used)
			}
		})
	}
}

func checkLegacy(t *testing.T, res *authn.Result, err error, says string, foreign, warn bool) {
	t.Helper()
	if says != "" || foreign {
		var said *authn.AnnotatedError
		if marked := strings.Contains(says, "marked invalid"); errors.As(err, &said) != marked ||
			(marked && said.Annotations["authentication.k8s.io/legacy-token-invalidated"] != legacyName+"/ns") {
			t.Errorf("annotations of %v", err)
		}
		if res != nil || (err == nil) != foreign || (err != nil && !strings.Contains(err.Error(), says)) {
			t.Fatalf("result = %v, %v; want %q", res, err, says)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	want := api.User{Name: "system:serviceaccount:ns:bot", UID: "sa-1", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:ns"}}
	if diff := cmp.Diff(want, res.User); diff != "" || !cmp.Equal(res.Audiences, []string{audience}) {
		t.Errorf("audiences %v, user (-want +got):\n%s", res.Audiences, diff)
	}
	annotation := "authentication.k8s.io/legacy-token-manual-secret"
	if warn {
		annotation = "authentication.k8s.io/legacy-token-autogenerated-secret"
	}
	if res.Annotations[annotation] != legacyName || warn != (len(res.Warnings) == 1) {
		t.Errorf("annotations %v, warnings %q", res.Annotations, res.Warnings)
	}
}

func FuzzLegacy(f *testing.F) {
	key := newECKey(f, elliptic.P256())
	keys, err := serviceaccount.NewKeys(key, []crypto.PublicKey{key.Public()})
	if err != nil {
		f.Fatal(err)
	}
	w := &legacyWorld{world: newWorld(), account: bot()}
	l, err := serviceaccount.NewLegacy(serviceaccount.LegacyOptions{Audiences: []string{audience}, Keys: keys, Objects: w, Clock: w.Clock, Used: w.use})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sign(f, jwt.SigningMethodES256, key, `{"alg":"ES256"}`, legacyPayload(f, nil)))
	f.Add(encode(`{"alg":"none"}`) + "." + encode(legacyPayload(f, nil)) + ".x")
	f.Fuzz(func(t *testing.T, token string) {
		if res, _ := l.Authenticate(t.Context(), authn.Credentials{BearerToken: token, HasBearer: true}); res != nil {
			t.Errorf("%q is good without a Secret", token)
		}
	})
}
