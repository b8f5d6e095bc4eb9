package cluster

import (
	"crypto/tls"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Secret are the rules of secrets. Errors never quote a value, only keys.
func Secret() *rules.Kind {
	return rules.For(rules.Spec[corev1.Secret]{Fields: []rules.Entry{
		rules.At("type", rules.Default(corev1.SecretTypeOpaque), rules.Immutable()),
		rules.At("", rules.Fill(mergeStringData), rules.Check(checkFrozenSecret)),
		rules.At("data", rules.Fill(nullIsEmpty), rules.EachKey(rules.Format(validation.IsConfigMapKey)), rules.Check(checkSecretSize)),
		rules.At("", rules.Check(checkSecretType), rules.Check(warnOfKeyPair)),
	}})
}

// mergeStringData moves what was written as text to the data, where it wins.
func mergeStringData(s *corev1.Secret) {
	for key, value := range s.StringData {
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[key] = []byte(value)
	}
	s.StringData = nil
}

func checkFrozenSecret(c *rules.Checker, s, old *corev1.Secret) {
	if old == nil || !isTrue(old.Immutable) {
		return
	}
	if !isTrue(s.Immutable) {
		c.Add(field.Forbidden(c.At("immutable"), frozen))
	}
	if !apiequality.Semantic.DeepEqual(s.Data, old.Data) {
		c.Add(field.Forbidden(c.At("data"), frozen))
	}
}

func checkSecretSize(c *rules.Checker, data, _ *map[string][]byte) {
	total := 0
	for _, value := range *data {
		total += len(value)
	}
	if total > MaxDataBytes {
		c.Add(field.TooLong(c.Path(), "", MaxDataBytes))
	}
}

// checkSecretType asks for the keys that readers of a type rely on. Types of others are theirs to check.
func checkSecretType(c *rules.Checker, s, _ *corev1.Secret) {
	require := func(keys ...string) {
		for _, key := range keys {
			if _, ok := s.Data[key]; !ok {
				c.Add(field.Required(c.At("data").Key(key), ""))
			}
		}
	}
	switch s.Type {
	case corev1.SecretTypeServiceAccountToken:
		if s.Annotations[corev1.ServiceAccountNameKey] == "" {
			c.Add(field.Required(c.At("metadata", "annotations").Key(corev1.ServiceAccountNameKey), ""))
		}
	case corev1.SecretTypeDockercfg:
		checkJSON(c, s, corev1.DockerConfigKey)
	case corev1.SecretTypeDockerConfigJson:
		checkJSON(c, s, corev1.DockerConfigJsonKey)
	case corev1.SecretTypeBasicAuth:
		_, user := s.Data[corev1.BasicAuthUsernameKey]
		if _, password := s.Data[corev1.BasicAuthPasswordKey]; !user && !password {
			require(corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey)
		}
	case corev1.SecretTypeSSHAuth:
		if len(s.Data[corev1.SSHAuthPrivateKey]) == 0 {
			c.Add(field.Required(c.At("data").Key(corev1.SSHAuthPrivateKey), ""))
		}
	case corev1.SecretTypeTLS:
		require(corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	}
}

// checkJSON asks for a key whose value is a JSON object. The decoder's message names an offset or a type, not the content.
func checkJSON(c *rules.Checker, s *corev1.Secret, key string) {
	text, ok := s.Data[key]
	if !ok {
		c.Add(field.Required(c.At("data").Key(key), ""))
		return
	}
	if err := json.Unmarshal(text, &map[string]any{}); err != nil {
		c.Add(field.Invalid(c.At("data").Key(key), "<secret contents redacted>", err.Error()))
	}
}

func warnOfKeyPair(c *rules.Checker, s, _ *corev1.Secret) {
	if s.Type != corev1.SecretTypeTLS {
		return
	}
	if _, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey]); err != nil {
		c.Warn(err.Error())
	}
}
