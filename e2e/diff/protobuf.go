package diff

import (
	"encoding/json"
	"fmt"

	apidiscovery "k8s.io/api/apidiscovery/v2"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/yaml"
)

// kinds knows the built-in kinds and those of meta.k8s.io.
func kinds() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := scheme.AddToScheme(s); err != nil {
		return nil, fmt.Errorf("know the built-in kinds: %w", err)
	}
	if err := metav1.AddMetaToScheme(s); err != nil {
		return nil, fmt.Errorf("know the kinds of meta.k8s.io: %w", err)
	}
	// These are no kinds of client-go's scheme.
	for _, add := range []func(*runtime.Scheme) error{apidiscovery.AddToScheme, apiextensionsv1.AddToScheme, apiregistrationv1.AddToScheme} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("know discovery and extensions: %w", err)
		}
	}
	return s, nil
}

// decodeProtobuf decodes an object into what its JSON would decode to. It returns a text where it cannot.
func decodeProtobuf(body []byte) any {
	s, err := kinds()
	if err != nil {
		return err.Error()
	}
	object, _, err := protobuf.NewSerializer(s, s).Decode(body, nil, nil)
	if err != nil {
		return fmt.Sprintf("%d bytes that are no protobuf of a known kind", len(body))
	}
	data, err := json.Marshal(object)
	if err != nil {
		return err.Error()
	}
	return decodeJSON(data)
}

// encodeProtobuf makes protobuf of an object in YAML or JSON.
func encodeProtobuf(document []byte) ([]byte, error) {
	s, err := kinds()
	if err != nil {
		return nil, err
	}
	data, err := yaml.YAMLToJSON(document)
	if err != nil {
		return nil, fmt.Errorf("encode as protobuf: %w", err)
	}
	object, _, err := serializer.NewCodecFactory(s).UniversalDeserializer().Decode(data, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("encode as protobuf: %w", err)
	}
	return runtime.Encode(protobuf.NewSerializer(s, s), object)
}
