package cluster

import (
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// MaxDataBytes bounds the values of a Secret or ConfigMap together, in bytes.
const MaxDataBytes = 1 << 20

// frozen is what an object says about each of its fields that may not change any more.
const frozen = "field is immutable when `immutable` is set"

// ConfigMap are the rules of configuration that is not secret.
func ConfigMap() *rules.Kind {
	return rules.For(rules.Spec[corev1.ConfigMap]{Fields: []rules.Entry{
		rules.At("", rules.Check(checkFrozenConfig)),
		rules.At("data", rules.EachKey(rules.Format(validation.IsConfigMapKey))),
		rules.At("", rules.Check(checkKeysDiffer)),
		rules.At("binaryData", rules.Fill(nullIsEmpty), rules.EachKey(rules.Format(validation.IsConfigMapKey))),
		rules.At("", rules.Check(checkConfigSize)),
	}})
}

func checkFrozenConfig(c *rules.Checker, m, old *corev1.ConfigMap) {
	if old == nil || !isTrue(old.Immutable) {
		return
	}
	if !isTrue(m.Immutable) {
		c.Add(field.Forbidden(c.At("immutable"), frozen))
	}
	if !apiequality.Semantic.DeepEqual(m.Data, old.Data) {
		c.Add(field.Forbidden(c.At("data"), frozen))
	}
	if !apiequality.Semantic.DeepEqual(m.BinaryData, old.BinaryData) {
		c.Add(field.Forbidden(c.At("binaryData"), frozen))
	}
}

// checkKeysDiffer refuses a key that has both text and bytes, as both would be one file.
func checkKeysDiffer(c *rules.Checker, m, _ *corev1.ConfigMap) {
	if len(m.BinaryData) == 0 {
		return
	}
	for _, key := range sortedKeys(m.Data) {
		if _, twice := m.BinaryData[key]; twice {
			c.Add(field.Invalid(c.At("data").Key(key), key, "duplicate of key present in binaryData"))
		}
	}
}

// nullIsEmpty makes null bytes no bytes, which is how they are read back from storage.
func nullIsEmpty(data *map[string][]byte) {
	for key, value := range *data {
		if value == nil {
			(*data)[key] = []byte{}
		}
	}
}

func checkConfigSize(c *rules.Checker, m, _ *corev1.ConfigMap) {
	total := 0
	for _, value := range m.Data {
		total += len(value)
	}
	for _, value := range m.BinaryData {
		total += len(value)
	}
	if total > MaxDataBytes {
		c.Add(field.TooLong(field.NewPath(""), "", MaxDataBytes)) // The empty path is the whole object.
	}
}

func isTrue(b *bool) bool { return b != nil && *b }
