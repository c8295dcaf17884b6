-- Appeals are few among reviews, and the queue asks for them first.
CREATE INDEX reviews_appeals ON reviews (tenant, seq) WHERE finding = 'appeal';
