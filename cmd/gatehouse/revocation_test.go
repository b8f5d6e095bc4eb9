package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
)

// watcher is an open watch of the ConfigMaps in default.
type watcher struct {
	lines chan string // closed when the stream ends
}

func (l *live) watch(t *testing.T, c *http.Client, headers ...string) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+"/api/v1/namespaces/default/configmaps?watch=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("watch: %s", resp.Status)
	}
	w := &watcher{lines: make(chan string, 100)}
	go func() {
		defer close(w.lines)
		defer resp.Body.Close()
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			w.lines <- s.Text()
		}
	}()
	return w
}

// end waits for the stream to end and returns its last line.
func (w *watcher) end(t *testing.T) (last string) {
	t.Helper()
	limit := time.NewTimer(readyLimit)
	defer limit.Stop()
	for {
		select {
		case line, open := <-w.lines:
			if !open {
				return last
			}
			last = line
		case <-limit.C:
			t.Fatal("the watch goes on")
		}
	}
}

// sees waits for a line that holds text.
func (w *watcher) sees(t *testing.T, text string) {
	t.Helper()
	limit := time.NewTimer(readyLimit)
	defer limit.Stop()
	for {
		select {
		case line, open := <-w.lines:
			if !open {
				t.Fatalf("the watch ended before it saw %s", text)
			}
			if strings.Contains(line, text) {
				return
			}
		case <-limit.C:
			t.Fatalf("the watch does not see %s", text)
		}
	}
}

// revoke writes a new list of the authority.
func (ca *testCA) revoke(t *testing.T, file string, number int64, serials ...*big.Int) {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, s := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: s, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.cert, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	replaceFile(t, file, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

// replaceFile replaces a file as tools do that never leave half of one.
func replaceFile(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// token makes a service account that may do everything and a token of it.
func (l *live) token(t *testing.T, name string) (token, uid string) {
	t.Helper()
	var account corev1.ServiceAccount
	if err := json.Unmarshal([]byte(l.create(t, "/api/v1/namespaces/default/serviceaccounts", `{"metadata":{"name":"`+name+`"}}`)), &account); err != nil {
		t.Fatal(err)
	}
	l.create(t, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", fmt.Sprintf(`{"metadata":{"name":%[1]q},
		"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},
		"subjects":[{"kind":"ServiceAccount","namespace":"default","name":%[1]q}]}`, name))
	var request authenticationv1.TokenRequest
	if err := json.Unmarshal([]byte(l.create(t, "/api/v1/namespaces/default/serviceaccounts/"+name+"/token", `{}`)), &request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token, string(account.UID)
}

// TestRevocation locks out a certificate, a token and a user one after the other: what they have open ends, what others have
// open goes on.
func TestRevocation(t *testing.T) {
	ca := newTestCA(t, "clients")
	dir := t.TempDir()
	crl, deny := filepath.Join(dir, "crl.pem"), filepath.Join(dir, "deny.yaml")
	const empty = "apiVersion: authn.gatehouse.dev/v1\nkind: DenyList\n"
	ca.revoke(t, crl, 1)
	replaceFile(t, deny, []byte(empty))
	l := startServer(t, "", "--client-ca-file="+ca.file, "--client-crl-file="+crl, "--deny-list-file="+deny)

	lost, kept := ca.user(t, "lost", "system:masters"), ca.user(t, "kept", "system:masters")
	lostClient, keptClient, anybody := l.client(t, lost), l.client(t, kept), l.client(t, nil)
	deleted, _ := l.token(t, "deleted")
	denied, uid := l.token(t, "denied")
	byCert, byKept := l.watch(t, lostClient), l.watch(t, keptClient)
	byDeleted, byDenied := l.watch(t, anybody, "Authorization", "Bearer "+deleted), l.watch(t, anybody, "Authorization", "Bearer "+denied)

	ca.revoke(t, crl, 2, lost.Leaf.SerialNumber)
	if last := byCert.end(t); !strings.Contains(last, `"code":401`) {
		t.Errorf("the watch of the certificate ended with %s", last)
	}
	if code, _ := l.whoami(t, lostClient); code != http.StatusUnauthorized {
		t.Errorf("the certificate afterwards: %d", code)
	}
	if code, _ := l.whoami(t, lostClient, "Authorization", "Bearer "+denied); code != http.StatusUnauthorized {
		t.Errorf("the certificate with a token that is good: %d", code)
	}

	replaceFile(t, deny, []byte(empty+"uids: ["+uid+"]\n"))
	byDenied.end(t)
	if code, _ := l.whoami(t, anybody, "Authorization", "Bearer "+denied); code != http.StatusUnauthorized {
		t.Errorf("the user afterwards: %d", code)
	}
	var review authenticationv1.TokenReview
	answer := l.create(t, "/apis/authentication.k8s.io/v1/tokenreviews", fmt.Sprintf(`{"spec":{"token":%q}}`, denied))
	if err := json.Unmarshal([]byte(answer), &review); err != nil || review.Status.Authenticated {
		t.Errorf("a review of the token: %v %v", err, review.Status)
	}

	l.do(t, l.admin, http.MethodDelete, "/api/v1/namespaces/default/serviceaccounts/deleted", "")
	byDeleted.end(t)
	if code, _ := l.whoami(t, anybody, "Authorization", "Bearer "+deleted); code != http.StatusUnauthorized {
		t.Errorf("the account afterwards: %d", code)
	}

	l.create(t, "/api/v1/namespaces/default/configmaps", `{"metadata":{"name":"after"}}`)
	byKept.sees(t, `"name":"after"`)
	if code, _ := l.whoami(t, keptClient); code != http.StatusCreated {
		t.Errorf("somebody else's certificate: %d", code)
	}
	record := string(readFile(t, filepath.Join(l.dir, "audit", "audit.log")))
	if !strings.Contains(record, `"server.gatehouse.dev/credential-revoked":"true"`) {
		t.Error("the audit log does not show that a revoked credential was used")
	}
	for _, secret := range []string{deleted, denied} {
		if strings.Contains(record+l.log.String(), secret) {
			t.Error("a token is in a log")
		}
	}
}

// TestRevocationIsNotPutOffForLong: what else is written in the directory of a list must not keep the list from being read.
func TestRevocationIsNotPutOffForLong(t *testing.T) {
	var s settling
	at, began := time.Now(), time.Now()
	for s.putOff(at) {
		if at = at.Add(revocationSettles / 2); at.Sub(began) > time.Second {
			t.Fatal("events that do not end put off the reading for more than a second")
		}
	}
	if at.Sub(began) < 2*revocationSettles {
		t.Errorf("files that are being written are read after %v", at.Sub(began))
	}
	if s.read(); !s.putOff(at) {
		t.Error("what is written afterwards is not waited for")
	}
}
