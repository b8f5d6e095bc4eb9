package serviceaccount_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/serviceaccount"
)

// sign makes a token of any header and payload, both given as JSON text.
func sign(t testing.TB, method jwt.SigningMethod, key any, header, payload string) string {
	t.Helper()
	text := encode(header) + "." + encode(payload)
	signature, err := method.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(string(signature))
}

// payload returns good claims for the account ns/bot, with some replaced; nil removes one.
func payload(t testing.TB, changes map[string]any) string {
	t.Helper()
	c := map[string]any{
		"iss": issuer, "sub": "system:serviceaccount:ns:bot", "aud": []string{audience}, "jti": "id-1",
		"iat": start.Unix(), "nbf": start.Unix(), "exp": start.Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "ns", "serviceaccount": map[string]any{"name": "bot", "uid": "sa-1"}},
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

// private is the kubernetes.io claim of ns/bot with more members.
func private(more map[string]any) map[string]any {
	p := map[string]any{"namespace": "ns", "serviceaccount": map[string]any{"name": "bot", "uid": "sa-1"}}
	for key, value := range more {
		p[key] = value
	}
	return map[string]any{"kubernetes.io": p}
}

func bound(kind, name, uid string) map[string]any {
	return private(map[string]any{kind: map[string]any{"name": name, "uid": uid}})
}

func TestAcceptedTokens(t *testing.T) {
	e := newEnv(t, newECKey(t, elliptic.P256()))
	header := fmt.Sprintf(`{"alg":"ES256","kid":%q}`, keyID(t, e.key.Public()))
	tests := map[string]struct {
		header  string
		changes map[string]any
	}{
		"plain":                             {},
		"typ JWT, as other signers write":   {header: strings.Replace(header, "{", `{"typ":"JWT",`, 1)},
		"the audience as a single string":   {changes: map[string]any{"aud": audience}},
		"one audience of many is ours":      {changes: map[string]any{"aud": []string{"vault", audience}}},
		"an issuer that no longer signs":    {changes: map[string]any{"iss": "old-issuer"}},
		"a claim that we do not know":       {changes: map[string]any{"future": map[string]any{"x": 1}}},
		"nbf and iat within the clock skew": {changes: map[string]any{"nbf": start.Add(time.Minute).Unix(), "iat": start.Add(time.Minute).Unix()}},
		"an end in the year 2162":           {changes: map[string]any{"exp": start.Unix() + 1<<32}},
		"bound to a pod":                    {changes: bound("pod", "web", "pod-1")},
		"bound to a secret":                 {changes: bound("secret", "key", "secret-1")},
		"bound to a node":                   {changes: bound("node", "n1", "node-1")},
		"a pod's node is not checked":       {changes: private(map[string]any{"pod": map[string]any{"name": "web", "uid": "pod-1"}, "node": map[string]any{"name": "gone"}})},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.header == "" {
				tc.header = header
			}
			token := sign(t, jwt.SigningMethodES256, e.key, tc.header, payload(t, tc.changes))
			for _, again := range []string{"first", "remembered"} {
				res, err := e.present(t, token)
				if err != nil || res == nil || res.User.Name != "system:serviceaccount:ns:bot" {
					t.Errorf("%s: got %v, %v", again, res, err)
				}
			}
		})
	}
}

// TestHostileTokens is a corpus of tokens that must never be accepted. Most are signed with the right key, so that
// it is the named fault and not the signature that they fail by.
func TestHostileTokens(t *testing.T) {
	e, rsaKey := newEnv(t, newECKey(t, elliptic.P256())), newRSAKey(t)
	p384 := newECKey(t, elliptic.P384())
	if err := e.keys.Replace(e.key, []crypto.PublicKey{e.key.Public(), rsaKey.Public(), p384.Public()}); err != nil {
		t.Fatal(err)
	}
	kid, rsaKid, stranger := keyID(t, e.key.Public()), keyID(t, rsaKey.Public()), newECKey(t, elliptic.P256())
	good := payload(t, nil)
	goodHeader := fmt.Sprintf(`{"alg":"ES256","kid":%q}`, kid)
	valid := sign(t, jwt.SigningMethodES256, e.key, goodHeader, good)
	if res, err := e.present(t, valid); res == nil || err != nil {
		t.Fatalf("the token that the others are made from: %v, %v", res, err)
	}
	es256 := func(header, payload string) string { return sign(t, jwt.SigningMethodES256, e.key, header, payload) }
	withHeader := func(more string) string { return es256(strings.TrimSuffix(goodHeader, "}")+","+more+"}", good) }
	with := func(changes map[string]any) string { return es256(goodHeader, payload(t, changes)) }
	rsaDER, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	rsaPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: rsaDER})
	parts := strings.Split(valid, ".")
	unsigned := func(header string) string { return encode(header) + "." + encode(good) + "." }

	tests := map[string]struct {
		token string
		want  string // of the error; empty: no opinion
	}{
		"nothing":                            {"", ""},
		"a dot":                              {".", ""},
		"two dots":                           {"..", ""},
		"1 MiB of dots":                      {strings.Repeat(".", 1<<20), ""},
		"16 KiB of dots":                     {strings.Repeat(".", 16<<10), ""},
		"1 MiB of payload":                   {parts[0] + "." + strings.Repeat("A", 1<<20) + "." + parts[2], ""},
		"five segments, as of an encryption": {valid + ".a.b", ""},
		"deep JSON":                          {parts[0] + "." + encode(`{"iss":"`+issuer+`","x":`+strings.Repeat("[", 11000)) + "." + parts[2], ""},
		"alg none":                           {unsigned(`{"alg":"none","kid":"` + kid + `"}`), ""},
		"alg None":                           {unsigned(`{"alg":"None","kid":"` + kid + `"}`), ""},
		"alg none with the old signature":    {encode(`{"alg":"none","kid":"`+kid+`"}`) + "." + parts[1] + "." + parts[2], "does not fit its key"},
		"no alg":                             {unsigned(`{"kid":"` + kid + `"}`), ""},
		"alg is a number":                    {unsigned(`{"alg":256,"kid":"` + kid + `"}`), ""},
		"HS256 with the public key in PEM":   {sign(t, jwt.SigningMethodHS256, rsaPEM, `{"alg":"HS256","kid":"`+rsaKid+`"}`, good), "does not fit its key"},
		"HS256 with the public key in DER":   {sign(t, jwt.SigningMethodHS256, rsaDER, `{"alg":"HS256","kid":"`+rsaKid+`"}`, good), "does not fit its key"},
		"HS256 with an empty secret":         {sign(t, jwt.SigningMethodHS256, []byte{}, `{"alg":"HS256","kid":"`+kid+`"}`, good), "does not fit its key"},
		"PS256, which we never sign with":    {sign(t, jwt.SigningMethodPS256, rsaKey, `{"alg":"PS256","kid":"`+rsaKid+`"}`, good), "does not fit its key"},
		"RS256 with the kid of an ECDSA key": {sign(t, jwt.SigningMethodRS256, rsaKey, `{"alg":"RS256","kid":"`+kid+`"}`, good), "does not fit its key"},
		"ES256 with the kid of a P-384 key":  {es256(`{"alg":"ES256","kid":"`+keyID(t, p384.Public())+`"}`, good), "does not fit its key"},
		"a stranger's key under our kid":     {sign(t, jwt.SigningMethodES256, stranger, goodHeader, good), "verification error"},
		"a stranger's key under its own kid": {sign(t, jwt.SigningMethodES256, stranger, `{"alg":"ES256","kid":"`+keyID(t, stranger.Public())+`"}`, good), "is none of the keys"},
		"no kid":                             {es256(`{"alg":"ES256"}`, good), "is none of the keys"},
		"a kid that is a path":               {es256(`{"alg":"ES256","kid":"../../../../dev/null"}`, good), "is none of the keys"},
		"a kid that is SQL":                  {es256(`{"alg":"ES256","kid":"' OR 1=1 --"}`, good), "is none of the keys"},
		"a kid in other letters":             {es256(`{"alg":"ES256","KID":"`+kid+`"}`, good), "once each"},
		"an embedded key":                    {withHeader(`"jwk":{"kty":"EC"}`), "once each"},
		"a key by URL":                       {withHeader(`"jku":"https://evil.example.com/jwks"`), "once each"},
		"a certificate by URL":               {withHeader(`"x5u":"https://evil.example.com/c"`), "once each"},
		"a critical extension":               {withHeader(`"crit":["exp"]`), "once each"},
		"a compressed payload":               {withHeader(`"zip":"DEF"`), "once each"},
		"a header member twice":              {withHeader(`"kid":"` + kid + `"`), "once each"},
		"another typ":                        {withHeader(`"typ":"at+jwt"`), "typ is not JWT"},
		"a header that is a list":            {es256(`["ES256"]`, good), "once each"},
		"a header with text after it":        {es256(goodHeader+"x", good), "once each"},
		"the subject twice":                  {es256(goodHeader, strings.Replace(good, "{", `{"sub":"system:serviceaccount:ns:bot",`, 1)), "duplicate field"},
		"the issuer twice":                   {es256(goodHeader, strings.Replace(good, "{", `{"iss":"evil",`, 1)), "duplicate field"},
		"a private claim twice":              {es256(goodHeader, strings.Replace(good, `"namespace":"ns"`, `"namespace":"kube-system","namespace":"ns"`, 1)), "duplicate field"},
		"a subject in other letters":         {es256(goodHeader, strings.Replace(good, `"sub"`, `"SUB"`, 1)), "is not the service account in the private claims"},
		"a payload with text after it":       {es256(goodHeader, good+"{}"), ""},
		"a payload that is a list":           {es256(goodHeader, "["+good+"]"), ""},
		"expired":                            {with(map[string]any{"exp": start.Unix()}), "is expired"},
		"expired, within the clock skew":     {with(map[string]any{"exp": start.Unix() - 30}), "is expired"},
		"no end":                             {with(map[string]any{"exp": nil}), "exp claim is required"},
		"an end that is a text":              {with(map[string]any{"exp": "9999999999"}), "cannot unmarshal"},
		"an end that is no whole number":     {es256(goodHeader, strings.Replace(good, `"exp":`, `"exp":1e300,"x":`, 1)), "cannot unmarshal"},
		"an end beyond any date":             {with(map[string]any{"exp": int64(1) << 62}), "is not a date"},
		"a negative end":                     {with(map[string]any{"exp": -1}), "is not a date"},
		"no beginning":                       {with(map[string]any{"nbf": nil}), "nbf claim is required"},
		"a beginning in the future":          {with(map[string]any{"nbf": start.Unix() + 61}), "is not valid yet"},
		"issued in the future":               {with(map[string]any{"iat": start.Unix() + 61}), "used before issued"},
		"another issuer":                     {with(map[string]any{"iss": "https://evil.example.com"}), ""},
		"an issuer that begins like ours":    {with(map[string]any{"iss": issuer + ".evil.example.com"}), ""},
		"no issuer":                          {with(map[string]any{"iss": nil}), ""},
		"another audience":                   {with(map[string]any{"aud": []string{"vault"}}), "is invalid for the target audiences"},
		"an audience that begins like ours":  {with(map[string]any{"aud": audience + "2"}), "is invalid for the target audiences"},
		"no audience":                        {with(map[string]any{"aud": nil}), "is invalid for the target audiences"},
		"an empty list of audiences":         {with(map[string]any{"aud": []string{}}), "is invalid for the target audiences"},
		"an empty audience":                  {with(map[string]any{"aud": ""}), "is invalid for the target audiences"},
		"a null audience":                    {es256(goodHeader, strings.Replace(good, `"aud":["api"]`, `"aud":null`, 1)), "is invalid for the target audiences"},
		"an audience that is an object":      {with(map[string]any{"aud": map[string]any{"api": true}}), "neither a string nor a list"},
		"no subject":                         {with(map[string]any{"sub": nil}), "is not the service account in the private claims"},
		"a user's subject":                   {with(map[string]any{"sub": "admin"}), "is not the service account in the private claims"},
		"a subject of another account":       {with(map[string]any{"sub": "system:serviceaccount:kube-system:root"}), "is not the service account in the private claims"},
		"no private claims":                  {with(map[string]any{"kubernetes.io": nil}), "is not the service account in the private claims"},
		"no uid of the account":              {with(map[string]any{"kubernetes.io": map[string]any{"namespace": "ns", "serviceaccount": map[string]any{"name": "bot"}}}), "names no uid"},
		"another uid of the account":         {with(map[string]any{"kubernetes.io": map[string]any{"namespace": "ns", "serviceaccount": map[string]any{"name": "bot", "uid": "sa-0"}}}), "has another uid"},
		"an account that does not exist": {with(map[string]any{
			"sub":           "system:serviceaccount:ns:gone",
			"kubernetes.io": map[string]any{"namespace": "ns", "serviceaccount": map[string]any{"name": "gone", "uid": "sa-1"}},
		}), "does not exist"},
		"another uid of the pod":          {with(bound("pod", "web", "pod-0")), "has another uid"},
		"a pod without a uid":             {with(bound("pod", "web", "")), "without a name or uid"},
		"a pod that does not exist":       {with(bound("pod", "gone", "pod-1")), "does not exist"},
		"another uid of the secret":       {with(bound("secret", "key", "x")), "has another uid"},
		"another uid of the node":         {with(bound("node", "n1", "x")), "has another uid"},
		"a node without a uid":            {with(bound("node", "n1", "")), "without a name or uid"},
		"a secret beside a pod":           {with(private(map[string]any{"pod": map[string]any{"name": "web", "uid": "pod-1"}, "secret": map[string]any{"name": "key", "uid": "secret-1"}})), "to a secret and to something else"},
		"cut off in the signature":        {valid[:len(valid)-10], "verification error"},
		"cut off in the payload":          {parts[0] + "." + parts[1][:40] + "." + parts[2], ""},
		"without its signature":           {parts[0] + "." + parts[1] + ".", ""},
		"a signature of zeros":            {parts[0] + "." + parts[1] + "." + encode(strings.Repeat("\x00", 64)), "verification error"},
		"padded base64":                   {parts[0] + "." + parts[1] + "." + parts[2] + "==", ""},
		"base64 of the other alphabet":    {parts[0] + "." + parts[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(parts[2]) + "/", ""},
		"a line break in the base64":      {parts[0] + "." + parts[1] + "." + parts[2][:5] + "\n" + parts[2][5:], ""},
		"base64 with other trailing bits": {nonCanonical(valid), "illegal base64"},
		"JSON serialization":              {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, ""},
		"a token and a space":             {valid + " ", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time could be from the cache
				res, err := e.present(t, tc.token)
				if res != nil {
					t.Fatalf("accepted as %v, %v", res, err)
				}
				if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
					t.Errorf("error = %v, want one that says %q", err, tc.want)
				}
			}
		})
	}
	if res, err := e.present(t, valid); res == nil || err != nil {
		t.Errorf("afterwards the valid token gives %v, %v", res, err)
	}
}

// nonCanonical changes bits of the last character that the decoded signature does not have.
func nonCanonical(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}

func TestRefusalsHoldNoToken(t *testing.T) {
	e := newEnv(t, newECKey(t, elliptic.P256()))
	kid := keyID(t, e.key.Public())
	for _, header := range []string{`{"alg":"s3cr3t","kid":"` + kid + `"}`, `{"alg":"ES256","kid":"s3cr3t"}`, `{"alg":"ES256","s3cr3t":1}`} {
		_, err := e.present(t, sign(t, jwt.SigningMethodES256, e.key, header, payload(t, nil)))
		if err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("error = %v", err)
		}
	}
}

func TestForeignTokensGetNoOpinion(t *testing.T) {
	e := newEnv(t, newECKey(t, elliptic.P256()))
	foreign := sign(t, jwt.SigningMethodES256, newECKey(t, elliptic.P256()), `{"alg":"ES256"}`, payload(t, map[string]any{"iss": "https://dex.example.com"}))
	for name, token := range map[string]string{"another issuer's": foreign, "a static one": "t0ken", "three words": "a.b.c"} {
		if res, err := e.present(t, token); res != nil || err != nil {
			t.Errorf("%s token: got %v, %v, want no opinion", name, res, err)
		}
	}
	if res, err := e.authn.Authenticate(t.Context(), authn.Credentials{}); res != nil || err != nil {
		t.Errorf("no token: got %v, %v", res, err)
	}
}

// TestObjectsAreCheckedEachTime presents one token again and again while what it depends on changes.
func TestObjectsAreCheckedEachTime(t *testing.T) {
	e := newEnv(t, newECKey(t, elliptic.P256()))
	header := fmt.Sprintf(`{"alg":"ES256","kid":%q}`, keyID(t, e.key.Public()))
	for kind, object := range map[string]string{"": "ServiceAccount/ns/bot", "pod": "Pod/ns/web", "secret": "Secret/ns/key", "node": "Node//n1"} {
		t.Run(object, func(t *testing.T) {
			var changes map[string]any
			original := e.objects[object]
			if kind != "" {
				changes = bound(kind, object[strings.LastIndex(object, "/")+1:], original.uid)
			}
			token := sign(t, jwt.SigningMethodES256, e.key, header, payload(t, changes))
			check := func(name string, want bool) {
				t.Helper()
				if res, err := e.present(t, token); (res != nil) != want || (err == nil) != want {
					t.Errorf("%s: got %v, %v", name, res, err)
				}
			}
			check("at first", true)
			recent, past := start.Add(-59*time.Second), start.Add(-61*time.Second)
			modified := original
			modified.deletion = &recent
			e.objects[object] = modified
			check("deleted a moment ago", true)
			modified.deletion = &past
			e.objects[object] = modified
			check("deleted over a minute ago", false)
			e.objects[object] = objectState{uid: "other"}
			check("made anew", false)
			delete(e.objects, object)
			check("gone", false)
			e.objects[object] = original
			check("back", true)
			e.err = errors.New("no store")
			check("unknown", false)
			e.err = nil
		})
	}
}

func TestRememberedTokenExpires(t *testing.T) {
	e := newEnv(t, newECKey(t, elliptic.P256()))
	token := issue(t, e, nil).Status.Token
	for _, step := range []struct {
		after time.Duration
		good  bool
	}{{0, true}, {time.Hour - time.Second, true}, {999 * time.Millisecond, true}, {time.Millisecond, false}} {
		e.advance(step.after)
		if res, err := e.present(t, token); (res != nil) != step.good {
			t.Errorf("at %v: got %v, %v", e.Clock(), res, err)
		}
	}
}

func TestRotatedKey(t *testing.T) {
	for name, key := range map[string]crypto.Signer{"RSA": newRSAKey(t), "P-256": newECKey(t, elliptic.P256()), "P-384": newECKey(t, elliptic.P384()), "P-521": newECKey(t, elliptic.P521())} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, key)
			next := newECKey(t, elliptic.P256())
			old := issue(t, e, nil).Status.Token
			accepted := func(name, token string, want bool) {
				t.Helper()
				if res, err := e.present(t, token); (res != nil) != want {
					t.Errorf("%s: got %v, %v", name, res, err)
				}
			}
			accepted("the first key", old, true)
			if err := e.keys.Replace(next, []crypto.PublicKey{next.Public(), key.Public()}); err != nil {
				t.Fatal(err)
			}
			fresh := issue(t, e, nil).Status.Token
			accepted("the old key beside the new", old, true)
			accepted("the new key", fresh, true)
			if err := e.keys.Replace(key, []crypto.PublicKey{next.Public()}); err == nil {
				t.Error("a signing key that nothing verifies was taken")
			}
			accepted("the new key after a failed change", fresh, true)
			if err := e.keys.Replace(next, []crypto.PublicKey{next.Public()}); err != nil {
				t.Fatal(err)
			}
			accepted("the old key once it is gone", old, false)
			accepted("the new key alone", fresh, true)
		})
	}
}

func TestUser(t *testing.T) {
	e := newEnv(t, newECKey(t, elliptic.P256()))
	header := fmt.Sprintf(`{"alg":"ES256","kid":%q}`, keyID(t, e.key.Public()))
	changes := private(map[string]any{
		"pod": map[string]any{"name": "web", "uid": "pod-1"}, "node": map[string]any{"name": "n1", "uid": "node-1"},
		"warnafter": start.Unix() - 5,
	})
	changes["aud"] = []string{"vault", audience, "other"}
	res, err := e.present(t, sign(t, jwt.SigningMethodES256, e.key, header, payload(t, changes)), "other", "vault", "absent")
	if err != nil {
		t.Fatal(err)
	}
	want := &authn.Result{
		User: api.User{
			Name: "system:serviceaccount:ns:bot", UID: "sa-1", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:ns"},
			Extra: map[string][]string{
				api.ExtraCredentialID:        {"JTI=id-1"},
				serviceaccount.ExtraPodName:  {"web"},
				serviceaccount.ExtraPodUID:   {"pod-1"},
				serviceaccount.ExtraNodeName: {"n1"},
				serviceaccount.ExtraNodeUID:  {"node-1"},
			},
		},
		Method: "serviceaccount", CredentialID: "JTI=id-1", Audiences: []string{"other", "vault"},
		Annotations: map[string]string{serviceaccount.AnnotationStaleToken: "subject: system:serviceaccount:ns:bot, seconds after warning threshold: 5"},
	}
	if diff := cmp.Diff(want, res); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestAuthenticatorRefusesToStartWithoutAllChecks(t *testing.T) {
	e := newEnv(t, newECKey(t, elliptic.P256()))
	good := serviceaccount.AuthenticatorOptions{Issuers: []string{issuer}, Audiences: []string{audience}, Keys: e.keys, Objects: e, Clock: e.Clock}
	for name, change := range map[string]func(*serviceaccount.AuthenticatorOptions){
		"no issuer":         func(o *serviceaccount.AuthenticatorOptions) { o.Issuers = nil },
		"an empty issuer":   func(o *serviceaccount.AuthenticatorOptions) { o.Issuers = []string{issuer, ""} },
		"no audience":       func(o *serviceaccount.AuthenticatorOptions) { o.Audiences = nil },
		"an empty audience": func(o *serviceaccount.AuthenticatorOptions) { o.Audiences = []string{""} },
		"no keys":           func(o *serviceaccount.AuthenticatorOptions) { o.Keys = nil },
		"no objects":        func(o *serviceaccount.AuthenticatorOptions) { o.Objects = nil },
		"no clock":          func(o *serviceaccount.AuthenticatorOptions) { o.Clock = nil },
	} {
		opts := good
		change(&opts)
		if _, err := serviceaccount.NewAuthenticator(opts); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// FuzzToken changes a valid token and offers arbitrary ones: nothing but a token that was signed is accepted.
func FuzzToken(f *testing.F) {
	key := newECKey(f, elliptic.P256())
	e := newEnv(f, key)
	header := fmt.Sprintf(`{"alg":"ES256","kid":%q}`, keyID(f, key.Public()))
	valid := sign(f, jwt.SigningMethodES256, key, header, payload(f, nil))
	f.Add("", "", "")
	f.Add(header, payload(f, nil), "x")
	f.Add(`{"alg":"none"}`, payload(f, nil), "")
	f.Add(header, `{"iss":"`+issuer+`","iss":"x"}`, "AAAA")
	f.Fuzz(func(t *testing.T, header, payload, signature string) {
		for _, token := range []string{
			header, header + "." + payload + "." + signature, encode(header) + "." + encode(payload) + "." + encode(signature),
			valid + signature, strings.Replace(valid, ".", "."+encode(payload), 1),
		} {
			if res, err := e.present(t, token); res != nil && token != valid {
				t.Errorf("accepted %q as %v, %v", token, res, err)
			}
		}
		// Whatever the payload says, signed by us, the user is one that exists.
		res, err := e.present(t, sign(t, jwt.SigningMethodES256, key, fmt.Sprintf(`{"alg":"ES256","kid":%q}`, keyID(t, key.Public())), payload))
		if res != nil && (err != nil || res.User.Name != "system:serviceaccount:ns:bot" || res.User.UID != "sa-1") {
			t.Errorf("payload %q gave %v, %v", payload, res, err)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	for name, key := range map[string]crypto.Signer{"RSA": newRSAKey(b), "P-256": newECKey(b, elliptic.P256())} {
		e := newEnv(b, key)
		token := issue(b, e, nil).Status.Token
		b.Run(name+"/remembered", func(b *testing.B) {
			for b.Loop() {
				if res, err := e.present(b, token); res == nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/first", func(b *testing.B) {
			for b.Loop() {
				if err := e.keys.Replace(key, []crypto.PublicKey{key.Public()}); err != nil {
					b.Fatal(err)
				}
				if res, err := e.present(b, token); res == nil {
					b.Fatal(err)
				}
			}
		})
	}
}
