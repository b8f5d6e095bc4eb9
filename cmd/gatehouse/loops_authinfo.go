package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/internal/pki"
	"github.com/gatehouse/gatehouse/resource"
)

// Extension servers read from a ConfigMap whom this one trusts, and trust the same.

const (
	authInfoName = "extension-apiserver-authentication"
	clientCAKey  = "client-ca-file"
	// requestHeaderCAKey holds the authorities of front proxies.
	requestHeaderCAKey = "requestheader-client-ca-file"
	// tokenTrackingName is a ConfigMap that says since when the use of old tokens of service accounts is recorded.
	tokenTrackingName = "kube-apiserver-legacy-service-account-token-tracking"
)

// publishAuthentication adds the authorities of client certificates to those that are published. What other servers have published stays,
// but for certificates that have expired.
func (p *parts) publishAuthentication(ctx context.Context) error {
	c := because("authentication of extension servers")
	info := systemConfigMap(authInfoName)
	o, found, err := p.read(ctx, c.why, info, "0")
	if err != nil {
		return err
	}
	wanted := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: authInfoName, Namespace: metav1.NamespaceSystem}}
	verb := "create"
	if found {
		wanted, verb = o.(*corev1.ConfigMap), "update"
	}
	had := maps.Clone(wanted.Data)
	if err := p.addAuthorities(wanted, clientCAKey, p.authorities()); err != nil {
		return err
	}
	if err := p.addRequestHeader(wanted); err != nil {
		return err
	}
	if found && maps.Equal(had, wanted.Data) {
		return nil
	}
	err = ignoreConflict(p.write(ctx, c, verb, info, resource.Object(wanted)))
	if api.IsReason(err, metav1.StatusReasonAlreadyExists) {
		return nil
	}
	return err
}

func systemConfigMap(name string) api.RequestInfo {
	info := objectOf("", "configmaps", name)
	info.Namespace = metav1.NamespaceSystem
	return info
}

// authorities are the files of certificate authorities whose client certificates are accepted.
func (p *parts) authorities() []string {
	var files []string
	if p.material != nil {
		files = append(files, p.material.CACert)
	}
	if p.options.ClientCAFile != "" {
		files = append(files, p.options.ClientCAFile)
	}
	return files
}

// addAuthorities adds the certificates in the files to those under the key.
func (p *parts) addAuthorities(o *corev1.ConfigMap, key string, files []string) error {
	bundle := []byte(o.Data[key])
	for _, file := range files {
		content, err := pki.ReadPublic(file, maxReloadBytes)
		if err != nil {
			return err
		}
		bundle = append(append(bundle, '\n'), content...)
	}
	if merged := mergeCertificates(bundle, time.Now()); len(merged) > 0 {
		setData(o, key, string(merged))
	}
	return nil
}

func setData(o *corev1.ConfigMap, key, value string) {
	if o.Data == nil {
		o.Data = map[string]string{}
	}
	o.Data[key] = value
}

// addRequestHeader adds how this server recognises front proxies.
func (p *parts) addRequestHeader(o *corev1.ConfigMap) error {
	r := p.options.RequestHeader
	if r.ClientCAFile == "" {
		return nil
	}
	if err := p.addAuthorities(o, requestHeaderCAKey, []string{r.ClientCAFile}); err != nil {
		return err
	}
	for _, list := range []struct {
		key    string
		values []string
	}{
		{"requestheader-username-headers", r.UsernameHeaders},
		{"requestheader-group-headers", r.GroupHeaders},
		{"requestheader-extra-headers-prefix", r.ExtraHeaderPrefixes},
		{"requestheader-allowed-names", r.AllowedNames},
		{"requestheader-uid-headers", r.UIDHeaders},
	} {
		merged, err := mergeList(o.Data[list.key], list.values)
		if err != nil {
			return fmt.Errorf("%s of the ConfigMap %s: %w", list.key, authInfoName, err)
		}
		if list.key != "requestheader-uid-headers" || merged != "[]" {
			setData(o, list.key, merged)
		}
	}
	return nil
}

// mergeList adds values to a JSON list of strings, each once.
func mergeList(list string, values []string) (string, error) {
	merged := []string{}
	if list != "" {
		var had []string
		if err := json.Unmarshal([]byte(list), &had); err != nil {
			return "", err
		}
		values = append(had, values...)
	}
	for _, v := range values {
		if !slices.Contains(merged, v) {
			merged = append(merged, v)
		}
	}
	out, err := json.Marshal(merged)
	return string(out), err
}

// mergeCertificates writes every certificate of the PEM text once, in its order. What has expired, and what is no certificate, is left out.
func mergeCertificates(text []byte, now time.Time) []byte {
	var seen [][]byte
	var out []byte
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return out
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil || now.After(certificate.NotAfter) ||
			slices.ContainsFunc(seen, func(b []byte) bool { return bytes.Equal(b, block.Bytes) }) {
			continue
		}
		seen = append(seen, block.Bytes)
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes})...)
	}
}

// trackTokens makes the ConfigMap that says since when the use of old tokens is recorded.
func (p *parts) trackTokens(ctx context.Context) error {
	return p.ensure(ctx, because("legacy token tracking"), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: tokenTrackingName, Namespace: metav1.NamespaceSystem},
		Data:       map[string]string{"since": time.Now().UTC().Format(time.DateOnly)},
	}, asIs)
}
