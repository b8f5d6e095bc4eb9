package services

// RoundTripPorts decodes a stored value of the node ports and encodes it again.
func RoundTripPorts(value []byte) ([]byte, error) {
	b, err := decodeBits(value)
	if err != nil {
		return nil, err
	}
	return b.encode()
}
