package serviceaccount_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/serviceaccount"
)

const (
	issuer   = "https://kubernetes.default.svc"
	audience = "api"
	jwksURI  = "https://192.0.2.1:6443/openid/v1/jwks"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// world holds the objects and the time that tokens are judged by.
type world struct {
	mu      sync.Mutex // guards all below
	now     time.Time
	objects map[string]objectState
	pods    map[string]*corev1.Pod
	err     error
}

type objectState struct {
	uid      string
	deletion *time.Time
}

func newWorld() *world {
	return &world{now: start, pods: map[string]*corev1.Pod{}, objects: map[string]objectState{
		"ServiceAccount/ns/bot": {uid: "sa-1"}, "Pod/ns/web": {uid: "pod-1"}, "Secret/ns/key": {uid: "secret-1"}, "Node//n1": {uid: "node-1"},
	}}
}

func (w *world) Clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) Lookup(_ context.Context, kind, namespace, name string) (string, *time.Time, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.objects[kind+"/"+namespace+"/"+name]
	return o.uid, o.deletion, ok, w.err
}

func (w *world) Pod(_ context.Context, namespace, name string) (*corev1.Pod, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.pods[namespace+"/"+name]
	return p, ok, w.err
}

func (w *world) addPod(name, account, node string) {
	w.pods["ns/"+name] = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", UID: types.UID(w.objects["Pod/ns/"+name].uid)},
		Spec:       corev1.PodSpec{ServiceAccountName: account, NodeName: node},
	}
}

func bot() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "bot", Namespace: "ns", UID: "sa-1"}}
}

// env is an issuer and an authenticator that share their keys and a world.
type env struct {
	*world
	key    crypto.Signer
	keys   *serviceaccount.Keys
	issuer *serviceaccount.Issuer
	authn  *serviceaccount.Authenticator
}

func newEnv(t testing.TB, key crypto.Signer, changes ...func(*serviceaccount.IssuerOptions)) *env {
	t.Helper()
	keys, err := serviceaccount.NewKeys(key, []crypto.PublicKey{key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	e := &env{world: newWorld(), key: key, keys: keys}
	opts := serviceaccount.IssuerOptions{
		Issuer: issuer, Audiences: []string{audience}, Keys: keys, Objects: e, Pods: e, Clock: e.Clock, JWKSURI: jwksURI,
	}
	for _, c := range changes {
		c(&opts)
	}
	if e.issuer, err = serviceaccount.NewIssuer(opts); err != nil {
		t.Fatal(err)
	}
	e.authn, err = serviceaccount.NewAuthenticator(serviceaccount.AuthenticatorOptions{
		Issuers: []string{issuer, "old-issuer"}, Audiences: []string{audience}, Keys: keys, Objects: e, Clock: e.Clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *env) present(t testing.TB, token string, audiences ...string) (*authn.Result, error) {
	t.Helper()
	return e.authn.Authenticate(t.Context(), authn.Credentials{BearerToken: token, HasBearer: true, Audiences: audiences})
}

func newECKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSAKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keyID is what the kid of a key must be.
func keyID(t testing.TB, public crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
