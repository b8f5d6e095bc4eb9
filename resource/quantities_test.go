package resource_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// hugeQuantity is a quantity of which the library would write out all digits. The exponent is one that it can still do: the test must
// fail where the text gets there, and not the machine.
const hugeQuantity = "1e-1500"

// TestHugeQuantities: a text of ten bytes must not keep a core, or take all memory, on any way that a quantity comes in.
func TestHugeQuantities(t *testing.T) {
	c := start(t)
	const quotas = "/api/v1/namespaces/default/resourcequotas"
	quota := func(name, amount string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":%q,"annotations":{"a":%q}},"spec":{"hard":{"cpu":%q}}}`,
			name, hugeQuantity, amount)
	}
	bytesField := func(number protowire.Number, value string) string {
		return string(protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), value))
	}
	inProtobuf := wrapped(typeOf(t, c, "", "v1", "resourcequotas"), bytesField(1, bytesField(1, "b"))+
		bytesField(2, bytesField(1, bytesField(1, "cpu")+bytesField(2, bytesField(1, hugeQuantity)))))
	c.must(t, "create", quotas, quota("a", "1"))
	for name, r := range map[string]request{
		"create in JSON":     {verb: "create", path: quotas, body: quota("b", hugeQuantity)},
		"create in YAML":     {verb: "create", path: quotas, contentType: yamlType, body: "metadata: {name: b}\nspec: {hard: {cpu: '" + hugeQuantity + "'}}"},
		"create in protobuf": {verb: "create", path: quotas, contentType: protobuf, body: inProtobuf},
		"update":             {verb: "update", path: quotas + "/a", body: quota("a", hugeQuantity)},
		"JSON patch": {
			verb: "patch", path: quotas + "/a", contentType: jsonPatch,
			body: `[{"op":"add","path":"/spec/hard/cpu","value":"` + hugeQuantity + `"}]`,
		},
		"merge patch":     {verb: "patch", path: quotas + "/a", contentType: merge, body: `{"spec":{"hard":{"cpu":"\u0031e-1500"}}}`},
		"strategic merge": {verb: "patch", path: quotas + "/a", contentType: strategic, body: `{"spec":{"hard":{"cpu":"` + hugeQuantity + `"}}}`},
		"apply":           {verb: "patch", path: quotas + "/a", contentType: applyType, body: quota("a", hugeQuantity), write: as("m")},
		"apply of another": {
			verb: "patch", path: quotas + "/b", contentType: applyType, body: quota("b", hugeQuantity), write: as("m"),
		},
	} {
		const want = "a quantity has at most"
		if _, err := c.do(t, r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
